"""What the teacher is asked about: the middles of the images, and degraded copies of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..data.degradation import Degradation, degrade, generator_of
from ..data.image_set import eight_bit
from ..data.prepare import encode_png
from ..data.resize import make_lr
from ..errors import SrKdError
from ..files import atomic_path
from ..images import read_image
from ..progress import progress_bar
from .plan import SMALLEST, Plan, copy_name
from .teacher import Teacher

logger = logging.getLogger("sr_kd")
PARTS = ("train", "held_out")


def write_images(plan: Plan, teacher: Teacher, output: Path, quiet: bool) -> None:
    """``images/train`` and ``images/held_out``: the middles of the images, 8 bits, PNG. What is there stays.

    A degraded copy lies beside each where the plan wants it. Finished answers are cut likewise, into ``labels``.
    Where the images are HR, what is made of them, x times smaller, lies in ``images``, and those to train on in ``hr``.
    An image that cannot be read is named and left out.

    Raises:
        SrKdError: a folder that cannot be written, or nothing to learn from.
    """
    parts = [(f"{part}/{file}", Path(path)) for part in PARTS for file, path in getattr(plan, part).items()]
    left = [(name, path) for name, path in parts if not (output / "images" / name).exists()]
    with progress_bar(len(left), "images", "image", quiet or not left) as bar:
        for name, source in left:
            try:
                pixels = eight_bit(read_image(source))
                answer = eight_bit(read_image(teacher.answers[source])) if teacher.answers else None
                if answer is not None and answer.shape[:2] != tuple(plan.scale * side for side in pixels.shape[:2]):
                    raise SrKdError(f"{teacher.answers[source]} is not x{plan.scale} of {source}")
            except SrKdError as error:
                logger.warning("%s: it is left out", error)
                continue
            if answer is not None:
                _write(output / "labels" / name, middle(answer, plan.side, plan.scale))
            for file, made in _made_of(pixels, plan, name):
                _write(output / file, made)
            bar.update()
    for part in PARTS:
        if not any((output / "images" / part).glob("*.png")):
            raise SrKdError(f"no image for {part.replace('_', '-')} can be read: give more images")


def _made_of(pixels: np.ndarray, plan: Plan, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """(file below the output folder, its pixels); the image by which the others are known to be there comes last."""
    copy = copy_name(name)
    if not plan.hr:
        if plan.degrade:
            yield f"images/{copy}", degraded_middle(pixels, plan.side, name)
        yield f"images/{name}", middle(pixels, plan.side)
        return
    large = middle(pixels, plan.side * plan.scale)
    height, width = (side // plan.scale * plan.scale for side in large.shape[:2])
    large = large[:height, :width]
    part, _, file = name.partition("/")
    for each in (file, copy_name(file))[: plan.copies if part == "train" else 0]:
        yield f"hr/{each}", large
    if plan.degrade:
        yield f"images/{copy}", degraded(large, plan.scale, name)
    yield f"images/{name}", make_lr(large, plan.scale)


def _write(target: Path, pixels: np.ndarray) -> None:
    with atomic_path(target) as temporary:
        temporary.write_bytes(encode_png(pixels))


def middle(pixels: np.ndarray, side: int, scale: int = 1) -> np.ndarray:
    """The middle (at most side, at most side, C) of an image (H, W, C), or what it shows in an upscaled one."""
    top, left = (max(0, (length // scale - side) // 2) * scale for length in pixels.shape[:2])
    return pixels[top : top + side * scale, left : left + side * scale]


def degraded_middle(pixels: np.ndarray, side: int, name: str) -> np.ndarray:
    """The middle, at most (side, side, C) uint8, of an image (H, W, C) with blur, noise and JPEG in random order.

    It shows twice as much at half the size, so that it is resized, too, unless the image is too small for that.
    What is random depends on the name alone.
    """
    factor = 2 if min(pixels.shape[:2]) >= 2 * SMALLEST else 1
    shown = middle(pixels, factor * side)
    height, width = (length // factor * factor for length in shown.shape[:2])
    return degraded(shown[:height, :width], factor, name)


def degraded(pixels: np.ndarray, factor: int, name: str) -> np.ndarray:
    """What `degrade` makes of pixels (H, W, C) uint8, so many times smaller; what is random depends on the name."""
    return degrade(pixels, factor, Degradation(), generator_of(0, name, 0, 0))
