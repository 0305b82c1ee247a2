"""What the teacher is asked about: the middles of the images, and degraded copies of them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..data.degradation import Degradation, degrade, generator_of
from ..data.image_set import eight_bit
from ..data.prepare import encode_png
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
            if plan.degrade:
                _write(output / "images" / copy_name(name), degraded_middle(pixels, plan.side, name))
            _write(output / "images" / name, middle(pixels, plan.side))
            bar.update()
    for part in PARTS:
        if not any((output / "images" / part).glob("*.png")):
            raise SrKdError(f"no image for {part.replace('_', '-')} can be read: give more images")


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
    return degrade(shown[:height, :width], factor, Degradation(), generator_of(0, name, 0, 0))
