"""Measuring a network on a set of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

from ..archs.base import SRNetwork
from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError, unknown_name
from ..progress import progress_bar
from .metrics import WINDOW, psnr, ssim
from .protocols import Enlarger, Protocol, find_protocol, to_levels
from .scores import ImageScore, SetScore, merge_scores

__all__ = ["ImageScore", "SetScore", "merge_scores", "score_network"]

METRICS = ("psnr", "ssim")


def score_network(
    network: SRNetwork | None,
    image_set: ImageSet,
    *,
    scale: int,
    protocol: str = "rgb8",
    device: torch.device | str = "cpu",
    metrics: Sequence[str] = METRICS,
    quiet: bool = True,
    rank: int = 0,
    world_size: int = 1,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> SetScore:
    """PSNR and SSIM of a network on a set, in float32.

    Images are decoded, resized and compared in several threads; the network runs on one at a time.

    Args:
        network: already on `device`; None for bicubic interpolation. Its mode is restored afterwards.
        image_set: opened at the same scale.
        scale: enlargement factor; a multi-scale network is measured at this one.
        protocol: "rgb8", "yfloat", "basicsr" or "rgb", see :mod:`sr_kd.evaluation.protocols`.
        metrics: "psnr", "ssim" or both.
        rank, world_size: this process measures the images rank, rank + world_size... of the set;
            :func:`merge_scores` puts the shares together.
        forward: takes the place of the network's forward pass (a tiled one, another runtime).

    Raises:
        UsageError: an unknown protocol or metric, a scale or colour that does not fit.
        SrKdError: an image that cannot be read or is too small, an output that is not a number.
    """
    rule = find_protocol(protocol)
    for metric in metrics:
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
    if image_set.scale != scale:
        raise UsageError(f"set {image_set.name} was opened for x{image_set.scale}, not x{scale}")
    rule.check(None if network is None else network.colour, image_set.lr is not None)
    with enlarger_of(network, scale, device, forward) as enlarger:
        lock = Lock()

        def measure(index: int) -> ImageScore:
            with torch.inference_mode():
                sr, hr = enlarge_image(image_set, index, rule, enlarger, lock)
                return score_image(image_set.names[index], sr, hr, rule, scale, metrics)

        indices = range(rank, len(image_set), world_size)
        with progress_bar(len(indices), f"{image_set.name} x{scale}", "image", quiet) as bar:
            images = []
            for image in _in_threads(measure, indices):
                images.append(image)
                bar.update()
    return SetScore(image_set.name, scale, rule.name, tuple(images))


@contextmanager
def enlarger_of(
    network: SRNetwork | None,
    scale: int,
    device: torch.device | str,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Enlarger | None]:
    """The network at one scale, in evaluation mode within the block; None for bicubic."""
    if network is None:
        yield None
        return
    single = network.for_scale(scale)
    training = network.training
    network.eval()
    try:
        yield Enlarger(network.colour, forward or single, torch.device(device))
    finally:
        network.train(training)


def enlarge_image(
    image_set: ImageSet, index: int, protocol: Protocol, enlarger: Enlarger | None, lock: Lock
) -> tuple[Tensor, Tensor]:
    """(SR, HR) of one image in 8-bit levels (C, H, W), as the protocol makes them; not cropped.

    `lock` is held while the network runs.
    """
    hr, lr = protocol.prepare(*read_levels(image_set, index), image_set.scale)
    size = (hr.shape[-2], hr.shape[-1])
    if enlarger is None:
        return protocol.enlarge(lr, size, None), hr
    with lock:
        sr = protocol.enlarge(lr, size, enlarger)
    name = image_set.names[index]
    if tuple(sr.shape[-2:]) != size:
        raise SrKdError(f"{name}: the network gives {sr.shape[-1]}x{sr.shape[-2]} pixels, not {size[1]}x{size[0]}")
    if not bool(sr.isfinite().all()):
        raise SrKdError(f"{name}: the network's output holds values that are not numbers; its training diverged")
    return sr, hr


def read_levels(image_set: ImageSet, index: int) -> tuple[Tensor, Tensor | None]:
    """(HR, LR or None) of one image as levels; LR only if the set has LR files.

    A grey HR image stays grey where its LR file has three channels.
    """
    if image_set.lr is None:
        return to_levels(image_set.read_hr(index)), None
    pair = image_set.read(index)
    hr, lr = to_levels(pair.hr), to_levels(pair.lr)
    if image_set.headers[index].channels == 1:
        return hr[:1], lr.mean(dim=0, keepdim=True)
    return hr, lr


def score_image(
    name: str, sr: Tensor, hr: Tensor, protocol: Protocol, scale: int, metrics: Sequence[str] = METRICS
) -> ImageScore:
    """Compare SR with HR, both (C, H, W) in levels, `scale` pixels cropped off each side.

    Raises:
        SrKdError: nothing, or too little for SSIM, is left after cropping.
    """
    height, width = (side - 2 * scale for side in hr.shape[-2:])
    smallest = WINDOW if "ssim" in metrics else 1
    if min(height, width) < smallest:
        raise SrKdError(
            f"{name} ({hr.shape[-1]}x{hr.shape[-2]}) is too small: {scale} pixels are cropped off each side, "
            f"and {smallest}x{smallest} must remain"
        )
    image, reference = (
        plane[..., scale : scale + height, scale : scale + width].contiguous() for plane in protocol.compared(sr, hr)
    )
    return ImageScore(
        name,
        psnr(image, reference) if "psnr" in metrics else None,
        ssim(image, reference) if "ssim" in metrics else None,
    )


def _in_threads(measure: Callable[[int], ImageScore], indices: Sequence[int]) -> Iterator[ImageScore]:
    """The results in order; after an error nothing more is started."""
    workers = min(os.cpu_count() or 1, 4, len(indices))
    if workers < 2:
        yield from map(measure, indices)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(measure, indices)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
