"""Which size a result shall have, and the antialiased resize that reaches it after the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..data.resize import imresize
from ..errors import UsageError

BLOCK = 256  # rows or columns resized at a time, so that working memory does not grow with the picture


@dataclass(frozen=True)
class Sizing:
    """A wish for the size of results: a factor, a width, a height, both, or a box to fit in.

    Raises:
        UsageError: wishes that are not positive or exclude one another.
    """

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None  # (width, height)

    def __post_init__(self) -> None:
        numbers = (self.factor, self.width, self.height, *(self.fit or ()))
        if any(number is not None and not 0 < number < 1e6 for number in numbers):
            raise UsageError("sizes and factors must be positive")
        kinds = (self.factor is not None) + (self.width is not None or self.height is not None) + (self.fit is not None)
        if kinds > 1:
            raise UsageError("a factor, --width / --height and --fit exclude one another: give one of them")

    def size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) of the result for a picture of this size; None: what the model gives."""
        if self.factor is not None:
            return _rounded(height * self.factor, width * self.factor)
        if self.fit is not None:
            factor = min(self.fit[0] / width, self.fit[1] / height)
            return _rounded(height * factor, width * factor)
        if self.width is not None and self.height is not None:
            return self.height, self.width
        if self.width is not None:
            return _rounded(height * self.width / width, self.width)
        if self.height is not None:
            return _rounded(self.height, width * self.height / height)
        return None


def resize_exactly(samples: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) of any picture type to (h, w, C): bicubic, antialiased when shrinking, height first.

    Integer types are rounded after each pass, floating point is clamped to [0, 1].
    """
    if samples.shape[:2] == size:
        return samples
    return _resize_columns(_resize_columns(samples, size[0]).swapaxes(0, 1), size[1]).swapaxes(0, 1)


def _resize_columns(samples: np.ndarray, height: int) -> np.ndarray:
    """(H, W, C) -> (height, W, C), some columns at a time."""
    levels = int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else None
    target = np.empty((height, *samples.shape[1:]), samples.dtype)
    for left in range(0, samples.shape[1], BLOCK):
        block = np.ascontiguousarray(samples[:, left : left + BLOCK].transpose(2, 0, 1), np.float64)
        resized = imresize(torch.from_numpy(block), (height, block.shape[2]), levels=levels)
        if levels is None:
            resized = resized.clamp(0, 1)
        target[:, left : left + BLOCK] = resized.permute(1, 2, 0).numpy()
    return target


def _rounded(height: float, width: float) -> tuple[int, int]:
    return max(1, round(height)), max(1, round(width))
