"""MATLAB's bicubic ``imresize``: a = -0.5, antialiased when shrinking, symmetric at the borders.

Each axis is one product with a banded matrix (`resize_runs`): every output row is a weighted sum of a few input
rows. Both passes go over a strip of the image at a time, so working memory does not grow with the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .resize_runs import PixelRun, runs, short

ROWS, COLUMNS = 4, 16  # outputs of a band: the fewer, the less is multiplied by zero; the more, the better the product
STRIP = 2**19  # values between the passes at once, so that a cache may hold them
LARGEST_STRIP = 2**22  # where the second pass is many small products
SEEN = 2**21  # input values at once
Read = Callable[[slice, slice], Tensor]


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
        scale: upscaling (vertical, horizontal) where it is not exactly ``size / (H, W)``.
        levels: for values in 0..levels (255, 65535): round and clamp to integers after each pass, as
            MATLAB does with integer images; ties go up. None: no rounding.

    Returns:
        (..., h, w) in the image's precision.

    Raises:
        UsageError: an image that is not floating point, or sides that are not positive.

    >>> imresize(torch.ones(3, 40, 60), (20, 30)).shape
    torch.Size([3, 20, 30])
    """
    if not image.is_floating_point() or image.ndim < 2 or image.numel() == 0:
        raise UsageError(f"imresize needs a floating-point (..., H, W); got {tuple(image.shape)} of {image.dtype}")
    if min(size) < 1:
        raise UsageError(f"imresize to {size[0]}x{size[1]}: both sides must be at least 1")
    height, width = image.shape[-2:]
    scales = scale or (size[0] / height, size[1] / width)
    kind = image.dtype, image.device
    vertical, horizontal = (
        runs(height, size[0], scales[0], ROWS, *kind),
        runs(width, size[1], scales[1], COLUMNS, *kind),
    )
    planes = image.reshape(-1, height, width)
    result = image.new_empty(len(planes), *size)
    with torch.autocast(image.device.type, enabled=False):
        for plane, target in zip(planes, result, strict=True):
            read = lambda *place, plane=plane: plane[place]  # noqa: E731
            for place, rows in _strips(read, width, vertical, _strip(width, horizontal), levels):
                _make_columns(rows, horizontal, target[place], levels)
    return result.view(*image.shape[:-2], *size)


def make_lr(hr: np.ndarray, scale: int) -> np.ndarray:
    """The LR image of an HR image: 1/scale of its size, rounded to integers after each pass.

    Args:
        hr: (H, W, C) uint8 or uint16, both sides multiples of `scale`.
        scale: how many times smaller.

    Returns:
        (H / scale, W / scale, C) of the same type. Equal to MATLAB's ``imresize(hr, 1/scale)``.

    Raises:
        UsageError: another pixel type, or sides that are no multiples of the scale.

    >>> make_lr(np.full((4, 6, 3), 200, np.uint8), 2)[0, 0]
    array([200, 200, 200], dtype=uint8)
    """
    height, width = hr.shape[:2]
    if hr.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"an HR image must have 8 or 16 bits; got {hr.dtype}")
    if height % scale or width % scale:
        raise UsageError(f"an HR image of {width}x{height} pixels is no multiple of scale {scale}: crop it first")
    return resize_pixels(hr, (height // scale, width // scale))


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, C) to (h, w, C) of the same type.

    8 and 16 bits are rounded after each pass, floating point is clamped to [0, 1]. Beside the two images this takes
    a few hundred megabytes at most. An image that has the size already is returned as it is.

    Raises:
        UsageError: another pixel type, or sides that are not positive.
    """
    if pixels.ndim != 3 or not (pixels.dtype in (np.uint8, np.uint16) or pixels.dtype.kind == "f"):
        raise UsageError(f"pixels must be (H, W, C) of 8 or 16 bits or float; got {pixels.shape} of {pixels.dtype}")
    if min(*size, *pixels.shape) < 1:
        raise UsageError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels to {size[1]}x{size[0]}: sides must be at least 1")
    levels = int(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else None
    height, width, channels = pixels.shape
    if size == (height, width):
        return pixels
    exact = levels == 255 and short(height, size[0]) and short(width, size[1])
    work, kind = (np.float32, torch.float32) if exact else (np.float64, torch.float64)
    cpu = torch.device("cpu")
    vertical = runs(height, size[0], size[0] / height, ROWS, kind, cpu)
    horizontal = runs(width, size[1], size[1] / width, COLUMNS, kind, cpu)
    result = np.empty((*size, channels), pixels.dtype)

    def read(rows: slice, columns: slice) -> Tensor:
        whole = slice(columns.start // channels, columns.stop // channels)
        return torch.from_numpy(pixels[rows, whole].astype(work, order="C").reshape(rows.stop - rows.start, -1))

    with torch.autocast("cpu", enabled=False):
        most = _strip(width * channels, horizontal)
        for place, rows in _strips(read, width * channels, vertical, most, levels, channels):
            planes = rows.view(-1, width, channels).transpose(1, 2).reshape(-1, width)
            made = planes.new_empty(len(planes), size[1])
            _make_columns(planes, horizontal, made, levels)
            made = made if levels else made.clamp_(0, 1)
            result[place] = made.view(-1, channels, size[1]).transpose(1, 2).numpy()
    return result


def _strip(width: int, horizontal: tuple[PixelRun, ...]) -> int:
    """Rows between the two passes at once: more where the second pass takes many products."""
    return max(1, min(STRIP * max(1, len(horizontal) // 4), LARGEST_STRIP) // width)


def _strips(
    read: Read, width: int, vertical: tuple[PixelRun, ...], most: int, levels: int | None, step: int = 1
) -> Iterator[tuple[slice, Tensor]]:
    """The first pass, from the top.

    Args:
        read: (rows, columns) -> that part of the table, in floating point.
        width: of the table.
        vertical: the matrix.
        most: rows of the result at once, about.
        levels: as in `imresize`.
        step: columns are read in multiples of this many.

    Yields:
        Place in the result, and its rows (n, width).
    """
    for group in _groups(vertical, most):
        above, below = min(run.first for run in group), max(run.inputs.stop for run in group)
        place = slice(group[0].place, group[-1].outputs.stop)
        rows = group[0].band.new_empty(place.stop - place.start, width)
        wide = max(1, SEEN // (below - above) // step) * step
        for left in range(0, width, wide):
            columns = slice(left, min(left + wide, width))
            seen = read(slice(above, below), columns)
            for run in group:
                used = seen[run.inputs.start - above : run.inputs.stop - above]
                target = rows[run.outputs.start - place.start : run.outputs.stop - place.start, columns]
                _weigh_rows(used, run, target)
        yield place, rows if levels is None else _round(rows, levels)


def _weigh_rows(used: Tensor, run: PixelRun, target: Tensor) -> None:
    if run.count == 1:
        _product(run.band, used, target)
        return
    outputs, taps = run.band.shape
    windows = used.unfold(0, taps, run.step).transpose(1, 2)  # batches of (taps, B) that overlap in memory
    _product(run.band.expand(run.count, -1, -1), windows, target.unflatten(0, (run.count, outputs)))


def _groups(vertical: tuple[PixelRun, ...], most: int) -> Iterator[list[PixelRun]]:
    """Runs one after the other, of about that many rows together."""
    group: list[PixelRun] = []
    rows = 0
    for whole in vertical:
        for run in whole.parts(max(1, most // whole.band.shape[0])):
            made = run.outputs.stop - run.outputs.start
            if group and rows + made > most:
                yield group
                group, rows = [], 0
            group.append(run)
            rows += made
    yield group


def _make_columns(rows: Tensor, horizontal: tuple[PixelRun, ...], result: Tensor, levels: int | None) -> None:
    """(A, B) -> (A, b)."""
    for run in horizontal:
        used, target = rows[:, run.inputs], result[:, run.outputs]
        if run.count == 1:
            _product(used, run.band.T, target)
        else:
            windows = used.unfold(1, run.band.shape[1], run.step).reshape(-1, run.band.shape[1])
            target.unflatten(1, (run.count, -1)).copy_((windows @ run.band.T).view(len(rows), run.count, -1))
    if levels is not None:
        _round(result, levels)


def _product(one: Tensor, other: Tensor, target: Tensor) -> None:
    """Into part of a matrix, which not every device does by itself, nor every batch."""
    if one.device.type == "cpu" and one.ndim == 2:
        torch.mm(one, other, out=target)
    elif one.device.type == "cpu" and target.is_contiguous():
        torch.bmm(one, other, out=target)
    else:
        target.copy_(one @ other)


def _round(values: Tensor, levels: int) -> Tensor:
    """In place. Sums that are ties go up, in whichever order a processor has added them."""
    return values.add_(0.5 + 1e-9).floor_().clamp_(0, levels)
