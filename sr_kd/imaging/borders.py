"""Flat areas at the border of an image stay flat.

Convolutions see zeros beyond the border, so that a network may leave a frame of up to four levels around a flat area
that touches it: a scan's white margin, a black bar. Inside, the same area comes out flat.
"""

from __future__ import annotations

import cv2
import numpy as np


def keep_flat(source: np.ndarray, upscaled: np.ndarray, radius: int) -> None:
    """Repair the border in place, wherever all that an output pixel depends on has one color: it gets that color.

    Args:
        source: (H, W, C).
        upscaled: (H * scale, W * scale, C), of the same type.
        radius: how many source pixels to each side one output pixel depends on.
    """
    scale = upscaled.shape[0] // source.shape[0]
    for turned, result in ((source, upscaled), (source.swapaxes(0, 1), upscaled.swapaxes(0, 1))):
        for band, part in (
            (turned[: 2 * radius], result[: radius * scale]),
            (turned[::-1][: 2 * radius], result[::-1][: radius * scale]),
        ):
            flat = _flat(band, radius)[: len(part) // scale]
            if flat.any():
                wide = flat.repeat(scale, axis=0).repeat(scale, axis=1)
                colors = band[: len(flat)].repeat(scale, axis=0).repeat(scale, axis=1)
                part[wide] = colors[wide]


def _flat(band: np.ndarray, radius: int) -> np.ndarray:
    """(H, W): whether every pixel at most `radius` away, as far as there are some, has the same color."""
    down, right = np.zeros((2, *band.shape[:2]), np.uint8)
    down[1:] = (band[1:] != band[:-1]).any(axis=2)  # from the pixel above
    right[:, 1:] = (band[:, 1:] != band[:, :-1]).any(axis=2)  # from the pixel at the left
    side = 2 * radius + 1
    # A difference counts where both of its pixels are near: one row, or column, less.
    down = cv2.dilate(down, np.ones((side - 1, side), np.uint8), anchor=(radius, radius - 1))
    right = cv2.dilate(right, np.ones((side, side - 1), np.uint8), anchor=(radius - 1, radius))
    return (down == 0) & (right == 0)
