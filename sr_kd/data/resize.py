"""MATLAB's bicubic ``imresize``: a = -0.5, antialiased when shrinking, symmetric at the borders.

Each axis is one sparse matrix product: every output row is a weighted sum of a few input rows. An
embedding bag is exactly that and is vectorised over the columns, so a 2K image takes milliseconds.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..archs.bicubic import cubic
from ..errors import UsageError


def imresize(
    image: Tensor,
    size: tuple[int, int],
    *,
    scale: tuple[float, float] | None = None,
    levels: int | None = None,
) -> Tensor:
    """Resize bicubically as MATLAB does, height first, then width.

    Args:
        image: (..., H, W), float32 or float64.
        size: (h, w) of the result.
        scale: enlargement (vertical, horizontal) where it is not exactly ``size / (H, W)``.
        levels: for values in 0..levels (255, 65535): round and clamp to integers after each pass, as
            MATLAB does with integer images; ties go up. None: no rounding.

    Returns:
        (..., h, w) in the image's precision.

    Raises:
        UsageError: an image that is not floating point, or sides that are not positive.
    """
    if not image.is_floating_point() or image.ndim < 2 or image.numel() == 0:
        raise UsageError(f"imresize needs a floating-point (..., H, W); got {tuple(image.shape)} of {image.dtype}")
    if min(size) < 1:
        raise UsageError(f"imresize to {size[0]}x{size[1]}: both sides must be at least 1")
    height, width = image.shape[-2:]
    vertical, horizontal = scale or (size[0] / height, size[1] / width)
    rows = _resize_rows(image.reshape(-1, height, width), size[0], vertical, levels)
    columns = _resize_rows(rows.transpose(1, 2).contiguous(), size[1], horizontal, levels)
    return columns.transpose(1, 2).reshape(*image.shape[:-2], *size)


def make_lr(hr: np.ndarray, scale: int) -> np.ndarray:
    """The LR image of an HR image: 1/scale of its size, rounded to integers after each pass.

    Args:
        hr: (H, W, C) uint8 or uint16, both sides multiples of `scale` (see :func:`mod_crop`).
        scale: how many times smaller.

    Returns:
        (H / scale, W / scale, C) of the same type. Equal to MATLAB's ``imresize(hr, 1/scale)``.

    Raises:
        UsageError: another pixel type, or sides that are no multiples of the scale.
    """
    height, width = hr.shape[:2]
    if height % scale or width % scale:
        raise UsageError(f"an HR image of {width}x{height} pixels is no multiple of scale {scale}: crop it first")
    return resize_pixels(hr, (height // scale, width // scale))


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) uint8 or uint16 to (h, w, C) of the same type, rounded after each pass.

    Raises:
        UsageError: another pixel type.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3:
        raise UsageError(f"pixels must be (H, W, C) of 8 or 16 bits; got {pixels.shape} of {pixels.dtype}")
    levels = int(np.iinfo(pixels.dtype).max)
    image = torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)
    resized = imresize(image, size, levels=levels)
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy().astype(pixels.dtype))


def mod_crop(hr: np.ndarray, scale: int) -> np.ndarray:
    """Cut (H, W, ...) to multiples of `scale`, keeping the top left corner.

    Raises:
        UsageError: the image is smaller than one LR pixel.
    """
    height, width = hr.shape[:2]
    if height < scale or width < scale:
        raise UsageError(f"an HR image of {width}x{height} pixels is too small for scale {scale}")
    return hr[: height - height % scale, : width - width % scale]


def _resize_rows(planes: Tensor, size: int, scale: float, levels: int | None) -> Tensor:
    """(N, A, B) -> (N, size, B): the N planes are one table of N * A rows."""
    count, length, width = planes.shape
    indices, weights = _contributions(length, size, scale)
    if planes.device.type == "mps":  # has no embedding bags before torch 2.10
        rows = sum_by_taps(planes, indices, weights)
    else:
        starts = torch.arange(0, count * length, length)[:, None, None]
        rows = functional.embedding_bag(
            (indices + starts).flatten(0, 1).to(planes.device),
            planes.reshape(count * length, width),
            per_sample_weights=weights.to(planes).repeat(count, 1),
            mode="sum",
        ).reshape(count, size, width)
    return rows if levels is None else torch.floor(rows + 0.5).clamp_(0, levels)


def sum_by_taps(planes: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """The embedding bag with plain operations, one tap after the other.

    Args:
        planes: (N, A, B).
        indices, weights: (size, taps): which of the A rows, and how much of each, make every row of the result.

    Returns:
        (N, size, B).
    """
    indices, weights = indices.to(planes.device), weights.to(planes)
    rows = planes.new_zeros(len(planes), len(indices), planes.shape[2])
    for index, weight in zip(indices.unbind(1), weights.unbind(1), strict=True):
        rows = rows + weight[:, None] * planes.index_select(1, index)
    return rows


@lru_cache(maxsize=64)
def _contributions(length: int, size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Which input samples, and how much of each, make every output sample: two (size, taps) tensors."""
    stretch = max(1.0, 1 / scale)  # shrinking widens the kernel: the antialiasing filter
    centre = (torch.arange(size, dtype=torch.float64) + 0.5) / scale - 0.5
    first = torch.floor(centre - 2 * stretch)
    positions = first[:, None] + torch.arange(math.ceil(4 * stretch) + 2, dtype=torch.float64)
    weights = cubic((centre[:, None] - positions) / stretch)
    weights = weights / weights.sum(dim=1, keepdim=True)
    used = weights.ne(0).any(dim=0)
    folded = positions[:, used].long() % (2 * length)  # symmetric: ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
    return torch.where(folded < length, folded, 2 * length - 1 - folded), weights[:, used].contiguous()
