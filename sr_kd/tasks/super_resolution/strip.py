"""The same crop of the same image after every validation: LR, bicubic, SR, HR and the error side by side."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...data.image_set import ImageSet
from ...evaluation.benchmark import read_levels
from ...evaluation.protocols import find_protocol, to_pixels

SIDE = 192  # of the crop, in HR pixels, at most
GAIN = 8  # of the error, so that it can be seen


def make_strip(images: ImageSet, protocol: str, sr: np.ndarray) -> np.ndarray:
    """Of a set's first image, around its middle.

    Args:
        sr: the result for it, (H, W, C) uint8.

    Returns:
        (side, 5 * side, 3) uint8: LR with its pixels repeated, bicubic, SR, HR, and ``GAIN`` times the absolute error.
    """
    rule = find_protocol(protocol)
    hr, lr = rule.prepare(*read_levels(images, 0), images.scale)
    bicubic = rule.upscale(lr, (hr.shape[-2], hr.shape[-1]), None, lambda x: x)
    return _side_by_side(_enlarged(to_pixels(lr), images.scale), to_pixels(bicubic), sr, to_pixels(hr), images.scale)


def make_teacher_strip(lr: Tensor, compact: Tensor, sr: Tensor, hr: Tensor) -> np.ndarray:
    """As `make_strip`, with what a privileged teacher's encoder makes of HR (its first channels) in bicubic's place.

    Args:
        lr: (1, C, H, W). compact: (1, C * k, H, W). sr, hr: (1, C, H * scale, W * scale), all about [0, 1].
    """
    scale = hr.shape[-1] // lr.shape[-1]
    low, middle, result, target = (to_pixels(255 * each[0]) for each in (lr, compact[:, : lr.shape[1]], sr, hr))
    return _side_by_side(_enlarged(low, scale), _enlarged(middle, scale), result, target, scale)


def _enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _side_by_side(low: np.ndarray, middle: np.ndarray, sr: np.ndarray, hr: np.ndarray, scale: int) -> np.ndarray:
    parts = [_crop(part, scale) for part in (low, middle, sr, hr)]
    error = np.abs(parts[2].astype(np.int16) - parts[3])
    return np.concatenate([*parts, (GAIN * error).clip(0, 255).astype(np.uint8)], axis=1)


def _crop(pixels: np.ndarray, scale: int) -> np.ndarray:
    """The middle, with three channels; its edges lie between LR pixels."""
    height, width = pixels.shape[:2]
    side = min(SIDE, height, width) // scale * scale
    top, left = ((length - side) // 2 // scale * scale for length in (height, width))
    part = pixels[top : top + side, left : left + side]
    return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part
