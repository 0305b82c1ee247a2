"""What only the networks themselves can tell: their sizes and speeds, and their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from threading import Lock
from time import perf_counter

import numpy as np
import torch

from ..data.image_set import ImageSet
from ..device import wait_for
from ..evaluation.benchmark import upscale_image
from ..evaluation.montage import find_crop
from ..evaluation.protocols import find_protocol, luma, to_pixels
from ..evaluation.threads import in_threads
from ..imaging.upscaler import Upscaler
from ..networks.base import SRNetwork
from ..networks.complexity import count_parameters
from ..networks.files import load_network
from .data import Sample, Score
from .facts import SIZE
from .run import Run
from .samples import BYTES_PER_PIXEL, SMALLEST, crop_side, make_sample

LIMIT = 6e6  # bytes of all samples of a page
REPETITIONS = 3


def open_networks(files: Mapping[str, str]) -> dict[str, SRNetwork]:
    """Label -> network of what upscales; others are left out."""
    found = {label: load_network(path).network for label, path in files.items()}
    return {label: network.eval() for label, network in found.items() if isinstance(network, SRNetwork)}


def parameters(file: str) -> int:
    """How many a network of any task has."""
    return count_parameters(load_network(file).network)


def speed(network: SRNetwork, scale: int, device: torch.device) -> float:
    """Megapixels of results a second: median of three images of 1280x720, after one more."""
    width, height = (side // scale for side in SIZE)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    upscaler = Upscaler(network, scale=scale, device=device)
    seconds = []
    for _ in range(REPETITIONS + 1):
        began = perf_counter()
        upscaler.upscale(image)
        wait_for(device)
        seconds.append(perf_counter() - began)
    return SIZE[0] * SIZE[1] / 1e6 / median(seconds[1:])


def take_samples(
    run: Run,
    networks: Mapping[str, SRNetwork | None],
    scores: Sequence[Score],
    device: torch.device,
    *,
    quiet: bool = True,
) -> list[Sample]:
    """A crop of every image, where the networks differ most.

    Where more images than fit into `LIMIT` bytes would come, those stay in which two networks' scores differ most.

    Args:
        networks: label -> network, or None for bicubic.
        scores: of the images, by which they are chosen.

    Raises:
        SrKdError: an image that cannot be read.
    """
    if not any(networks.values()):
        return []
    upscalers = {label: Upscaler(each, scale=run.recipe.scale, device=device) for label, each in networks.items()}
    turn = Lock()  # a network works on one image at a time
    versions = len(networks) + 2
    most = int(LIMIT / (versions * SMALLEST**2 * BYTES_PER_PIXEL))
    places = [(images, rule, index) for images, rule in run.image_sets() for index in range(len(images))]
    if len(places) > most:
        kept = sorted(places, key=lambda place: -_spread(scores, place[0], place[2]))[:most]
        places = [place for place in places if place in kept]
    side = crop_side(len(places), versions, LIMIT)
    return in_threads(lambda place: _sample(*place, upscalers, side, turn), places, "samples", quiet)


def _sample(
    images: ImageSet, rule: str, index: int, upscalers: Mapping[str, Upscaler], side: int, turn: Lock
) -> Sample:
    protocol = find_protocol(rule)
    with torch.inference_mode():
        upscaled = {label: upscale_image(images, index, protocol, each, turn) for label, each in upscalers.items()}
        planes = [luma(upscaled[label].sr.cpu()) for label, each in upscalers.items() if each.network is not None]
        first = next(iter(upscaled.values()))
        hr, lr = to_pixels(first.hr), to_pixels(first.lr)
        box = _box(planes, hr.shape[:2], side, images.scale)
        shown = {label: each.image() for label, each in upscaled.items()}
    return make_sample(images.name, images.names[index], box, hr, lr, shown, images.scale)


def _box(planes: Sequence[torch.Tensor], size: tuple[int, ...], side: int, scale: int) -> tuple[int, int, int, int]:
    """All of an image that is no larger than a square crop, otherwise the square in which the planes differ most."""
    height, width = size
    if height * width <= side**2 or not planes:
        return (0, 0, width, height)
    side = min(side, height, width) // scale * scale
    (top, left, side), _ = find_crop(planes, side, scale)
    return (left // scale * scale, top // scale * scale, side, side)


def _spread(scores: Sequence[Score], images: ImageSet, index: int) -> float:
    """Largest difference of the first metric between two models on one image."""
    first = [score for score in scores if score.test_set == images.name and score.images]
    values = [score.images[index] for score in first if score.metric == first[0].metric]
    known = [value for value in values if value is not None and np.isfinite(value)]
    return max(known) - min(known) if known else 0.0
