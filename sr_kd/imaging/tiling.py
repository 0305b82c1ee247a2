"""Exact tiling: an image upscaled in pieces is the image upscaled whole, up to rounding.

An output pixel depends on LR pixels at most `radius` away. So every tile is computed from a window
that carries `radius` more pixels on each side, or ends at the image's own border, where the network
must see that border and nothing else. All windows of an image have one size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from .color import TensorFunction

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in LR pixels: [begin, end) is kept of the window [start, stop)."""

    begin: int
    end: int
    start: int
    stop: int


def spans(length: int, tile: int, radius: int) -> list[Span]:
    """Cut an axis into equal tiles of at most `tile` pixels and give each its window.

    >>> spans(10, tile=5, radius=1)
    [Span(begin=0, end=5, start=0, stop=7), Span(begin=5, end=10, start=3, stop=10)]
    """
    count = -(-length // tile)
    tile = -(-length // count)
    size = min(length, tile + 2 * radius)
    found = []
    for begin in range(0, length, tile):
        start = min(max(begin - radius, 0), length - size)
        found.append(Span(begin, min(begin + tile, length), start, start + size))
    return found


def upscale_tiled(
    upscale: TensorFunction,
    source: np.ndarray,
    scale: int,
    radius: int,
    tile: int,
    *,
    device: torch.device,
    batch: int = 1,
    progress: Progress | None = None,
) -> np.ndarray:
    """Upscale an array tile by tile, straight into an output array of the same type.

    Args:
        upscale: (N, C, h, w) in [0, 1] on `device` -> (N, C, h * scale, w * scale); in [0, 1] for integers.
        source: (H, W, C) uint8, uint16 or floating point in [0, 1].
        scale: upscaling factor of `upscale`.
        radius: how many LR pixels to each side one output pixel depends on.
        tile: side of a tile in LR pixels, without what its window adds.
        device: where `upscale` works.
        batch: how many tiles are computed together.
        progress: called with (tiles done, all tiles).

    Returns:
        (H * scale, W * scale, C).
    """
    height, width, channels = source.shape
    target = np.empty((height * scale, width * scale, channels), source.dtype)
    rows = spans(height, tile, radius)
    columns = spans(width, tile, radius)
    places = ((row, column) for row in rows for column in columns)
    done = 0
    while group := list(islice(places, batch)):
        windows = np.stack([source[r.start : r.stop, c.start : c.stop] for r, c in group])
        upscaled = upscale(to_tensor(windows, device))
        for piece, (r, c) in zip(upscaled, group, strict=True):
            kept = piece[
                :,
                (r.begin - r.start) * scale : (r.end - r.start) * scale,
                (c.begin - c.start) * scale : (c.end - c.start) * scale,
            ]
            where = target[r.begin * scale : r.end * scale, c.begin * scale : c.end * scale]
            where[...] = to_pixels(kept, source.dtype)
        done += len(group)
        if progress is not None:
            progress(done, len(rows) * len(columns))
    return target


def to_tensor(windows: np.ndarray, device: torch.device) -> Tensor:
    """(N, h, w, C) of any image type -> (N, C, h, w) in [0, 1], float32 (float64 for float64, but not on MPS)."""
    if windows.dtype == np.uint16:  # torch has hardly any operations on uint16
        windows = windows.astype(np.int32)
        peak = 65535
    else:
        peak = 255 if windows.dtype == np.uint8 else 1
    if windows.dtype == np.float64 and device.type == "mps":
        windows = windows.astype(np.float32)
    precision = torch.float64 if windows.dtype == np.float64 else torch.float32
    tensor = torch.from_numpy(windows).to(device).permute(0, 3, 1, 2).to(precision)
    return (tensor / peak if peak > 1 else tensor).contiguous()


def to_pixels(piece: Tensor, dtype: np.dtype) -> np.ndarray:
    """(C, h, w) -> (h, w, C); for integer types scaled from [0, 1] and rounded on the device."""
    piece = piece.permute(1, 2, 0)
    if dtype.kind == "u":
        piece = (piece * np.iinfo(dtype).max).round().to(torch.uint8 if dtype == np.uint8 else torch.int32)
    return piece.cpu().numpy()
