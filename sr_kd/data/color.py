"""BT.601 limited-range color (MATLAB's rgb2ycbcr), in floating point and never rounded in between.

Everything is in [0, 1] of the 8-bit range: Y lies in [16/255, 235/255], Cb and Cr in [16/255, 240/255].
Channels are the last axis but two: (..., C, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError

# ITU-R BT.601: 8-bit levels over 255, for RGB in [0, 1].
_OFFSETS = (16 / 255, 128 / 255, 128 / 255)
_WEIGHTS = (
    (65.481 / 255, 128.553 / 255, 24.966 / 255),
    (-37.797 / 255, -74.203 / 255, 112.0 / 255),
    (112.0 / 255, -93.786 / 255, -18.214 / 255),
)
_INVERSE = np.linalg.inv(_WEIGHTS)
_INVERSE_OFFSETS = -_INVERSE @ _OFFSETS


def rgb_to_y(rgb: Tensor) -> Tensor:
    """Luma of RGB in [0, 1]: (..., 3, H, W) -> (..., 1, H, W) in [16/255, 235/255].

    White is 235 of 255:

    >>> round(rgb_to_y(torch.ones(3, 1, 1)).item() * 255, 3)
    235.0
    """
    return _weighted(_channels(rgb), _WEIGHTS[0], _OFFSETS[0]).unsqueeze(-3)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB in [0, 1] to YCbCr: (..., 3, H, W) -> (..., 3, H, W)."""
    channels = _channels(rgb)
    rows = zip(_WEIGHTS, _OFFSETS, strict=True)
    return torch.stack([_weighted(channels, row, offset) for row, offset in rows], dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The exact inverse of :func:`rgb_to_ycbcr`: (..., 3, H, W) -> (..., 3, H, W), not clamped to [0, 1]."""
    channels = _channels(ycbcr)
    rows = zip(_INVERSE.tolist(), _INVERSE_OFFSETS.tolist(), strict=True)
    return torch.stack([_weighted(channels, row, offset) for row, offset in rows], dim=-3)


def gray_to_y(gray: Tensor) -> Tensor:
    """Full-range gray in [0, 1] to luma in [16/255, 235/255]: what R = G = B = gray would give.

    >>> gray_to_y(torch.tensor([0.0, 1.0])) * 255
    tensor([ 16., 235.])
    """
    return (gray * 219 + 16) / 255


def y_to_gray(y: Tensor) -> Tensor:
    """The inverse of :func:`gray_to_y`, not clamped.

    >>> y_to_gray(torch.tensor([16.0, 235.0]) / 255)
    tensor([0., 1.])
    """
    return (y * 255 - 16) / 219


def _channels(image: Tensor) -> tuple[Tensor, ...]:
    """The three channels of (..., 3, H, W), each (..., H, W)."""
    if image.ndim < 3 or image.shape[-3] != 3:
        raise UsageError(f"color conversion needs (..., 3, H, W); the tensor is {tuple(image.shape)}")
    return image.unbind(-3)


def _weighted(channels: Sequence[Tensor], weights: Sequence[float], offset: float) -> Tensor:
    """The weighted sum of three channels and an offset."""
    total = (channels[0] * weights[0]).add_(offset)
    return total.add_(channels[1], alpha=weights[1]).add_(channels[2], alpha=weights[2])
