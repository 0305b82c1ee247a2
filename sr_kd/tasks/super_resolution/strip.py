"""The same crop of the same image after every validation: LR, bicubic, SR, HR and the error side by side."""

from __future__ import annotations

import numpy as np

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
    scale = images.scale
    low = to_pixels(lr).repeat(scale, axis=0).repeat(scale, axis=1)
    parts = [_crop(part, scale) for part in (low, to_pixels(bicubic), sr, to_pixels(hr))]
    error = np.abs(parts[2].astype(np.int16) - parts[3])
    return np.concatenate([*parts, (GAIN * error).clip(0, 255).astype(np.uint8)], axis=1)


def _crop(pixels: np.ndarray, scale: int) -> np.ndarray:
    """The middle, with three channels; its edges lie between LR pixels."""
    height, width = pixels.shape[:2]
    side = min(SIDE, height, width) // scale * scale
    top, left = ((length - side) // 2 // scale * scale for length in (height, width))
    part = pixels[top : top + side, left : left + side]
    return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part
