"""MATLAB's bicubic ``imresize``: a = -0.5, antialiased when shrinking, symmetric at the borders.

Each axis is one product with a banded matrix: every output row is a weighted sum of a few input rows. In blocks of
rows the band is nearly a full matrix, and a processor's matrix product takes a 2K image in milliseconds.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..archs.bicubic import cubic
from ..errors import UsageError

BLOCK = 16  # output rows at once: the fewer, the less is multiplied by zero; the more, the better the matrix product


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
    return _resize_columns(rows.view(-1, width), size[1], horizontal, levels).view(*image.shape[:-2], *size)


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
    (height, width, channels), (rows, columns) = pixels.shape, size
    single = levels == 255 and all(map(_short, (height, width), size))
    # As `imresize`, but the channels stay interleaved: they are only more columns of one table.
    table = torch.from_numpy(pixels.astype(np.float32 if single else np.float64)).reshape(1, height, width * channels)
    table = _resize_rows(table, rows, rows / height, levels)
    table = table.view(rows, width, channels).transpose(0, 1).reshape(1, width, rows * channels)
    table = _resize_rows(table, columns, columns / width, levels).view(columns, rows, channels)
    return np.ascontiguousarray(table.numpy().astype(pixels.dtype).swapaxes(0, 1))


def _short(length: int, size: int) -> bool:
    """Whether all weights are multiples of 2^-15 (as for halves and quarters): float32 then adds up bytes exactly."""
    return all(torch.equal(scaled := 2**15 * band, scaled.round()) for _, band in _bands(length, size, size / length))


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
    """(N, A, B) -> (N, size, B)."""
    rows = planes.new_empty(len(planes), size, planes.shape[2])
    for plane, result in zip(planes, rows, strict=True):
        for start, (first, band) in zip(range(0, size, BLOCK), _bands(planes.shape[1], size, scale), strict=True):
            used = plane[first : first + band.shape[1]]
            torch.mm(band.to(planes), used, out=result[start : start + BLOCK])
    return rows if levels is None else _round(rows, levels)


def _resize_columns(rows: Tensor, size: int, scale: float, levels: int | None) -> Tensor:
    """(A, B) -> (A, size)."""
    columns = rows.new_empty(len(rows), size)
    for start, (first, band) in zip(range(0, size, BLOCK), _bands(rows.shape[1], size, scale), strict=True):
        used, block = rows[:, first : first + band.shape[1]], columns[:, start : start + BLOCK]
        if rows.device.type == "cpu":
            torch.mm(used, band.to(rows).T, out=block)
        else:  # not every device writes a product into part of a matrix
            block.copy_(torch.mm(used, band.to(rows).T))
    return columns if levels is None else _round(columns, levels)


def _round(values: Tensor, levels: int) -> Tensor:
    """In place. Sums that are ties go up, in whichever order a processor has added them."""
    return values.add_(0.5 + 1e-9).floor_().clamp_(0, levels)


@lru_cache(maxsize=64)
def _bands(length: int, size: int, scale: float) -> list[tuple[int, Tensor]]:
    """The matrix of one axis in blocks of rows, each with the first of the input samples that it looks at."""
    indices, weights = _contributions(length, size, scale)
    bands = []
    for index, weight in zip(indices.split(BLOCK), weights.split(BLOCK), strict=True):
        first, last = int(index.min()), int(index.max())
        band = torch.zeros(len(index), last - first + 1, dtype=torch.float64)
        bands.append((first, band.scatter_add_(1, index - first, weight)))
    return bands


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
