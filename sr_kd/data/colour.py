"""BT.601 limited-range colour (MATLAB's rgb2ycbcr), in floating point and never rounded in between.

Everything is in [0, 1] of the 8-bit range: Y lies in [16/255, 235/255], Cb and Cr in [16/255, 240/255].
Channels are the last axis but two: (..., C, H, W).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError

# ITU-R BT.601, in 8-bit levels for RGB in [0, 1].
_MATRIX = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_OFFSET = (16.0, 128.0, 128.0)
_INVERSE = np.linalg.inv(_MATRIX).tolist()


def rgb_to_y(rgb: Tensor) -> Tensor:
    """Luma of RGB in [0, 1]: (..., 3, H, W) -> (..., 1, H, W) in [16/255, 235/255]."""
    red, green, blue = _channels(rgb)
    weights = _MATRIX[0]
    return ((weights[0] * red + weights[1] * green + weights[2] * blue + _OFFSET[0]) / 255).unsqueeze(-3)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB in [0, 1] to YCbCr: (..., 3, H, W) -> (..., 3, H, W)."""
    channels = _channels(rgb)
    rows = zip(_MATRIX, _OFFSET, strict=True)
    return torch.stack([(_weighted(row, channels) + offset) / 255 for row, offset in rows], dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The exact inverse of :func:`rgb_to_ycbcr`: (..., 3, H, W) -> (..., 3, H, W), not clamped to [0, 1]."""
    pairs = zip(_channels(ycbcr), _OFFSET, strict=True)
    levels = [255 * channel - offset for channel, offset in pairs]
    return torch.stack([_weighted(row, levels) for row in _INVERSE], dim=-3)


def grey_to_y(grey: Tensor) -> Tensor:
    """Full-range grey in [0, 1] to luma in [16/255, 235/255]: what R = G = B = grey would give."""
    return (grey * 219 + 16) / 255


def y_to_grey(y: Tensor) -> Tensor:
    """The inverse of :func:`grey_to_y`, not clamped."""
    return (y * 255 - 16) / 219


def _channels(image: Tensor) -> tuple[Tensor, ...]:
    """The three channels of (..., 3, H, W), each (..., H, W)."""
    if image.ndim < 3 or image.shape[-3] != 3:
        raise UsageError(f"colour conversion needs (..., 3, H, W); the tensor is {tuple(image.shape)}")
    return image.unbind(-3)


def _weighted(row: tuple[float, ...] | list[float], channels: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """Sum of the channels, weighted."""
    return row[0] * channels[0] + row[1] * channels[1] + row[2] * channels[2]
