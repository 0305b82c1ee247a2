"""MATLAB's bicubic ``imresize``: a = -0.5, antialiased when shrinking, symmetric at the borders.

Each axis is one product with a banded matrix (`resize_runs`): every output row is a weighted sum of a few input
rows. Both passes go over a strip of the picture at a time, whose rows between the two stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .resize_runs import Run, runs, short

ROWS, COLUMNS = 4, 16  # outputs of a band: the fewer, the less is multiplied by zero; the more, the better the product
STRIP, LARGEST_STRIP = 2**19, 2**24  # values between the passes at once: what a cache holds; no more than this


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
    scales = scale or (size[0] / height, size[1] / width)
    planes = image.reshape(-1, height, width)
    result = image.new_empty(len(planes), *size)
    like = image.dtype, image.device
    vertical, horizontal = (
        runs(height, size[0], scales[0], ROWS, 1, like),
        runs(width, size[1], scales[1], COLUMNS, 1, like),
    )
    for plane, target in zip(planes, result, strict=True):
        for place, rows in _strips(plane, vertical, _strip(width, horizontal), levels, image.dtype):
            _make_columns(rows, horizontal, target[place], levels)
    return result.view(*image.shape[:-2], *size)


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
    """Resize a picture (H, W, C) to (h, w, C) of the same type.

    8 and 16 bits are rounded after each pass, floating point is clamped to [0, 1]. Beside the two pictures this takes a
    few megabytes.

    Raises:
        UsageError: another pixel type.
    """
    if pixels.ndim != 3 or not (pixels.dtype in (np.uint8, np.uint16) or pixels.dtype.kind == "f"):
        raise UsageError(f"pixels must be (H, W, C) of 8 or 16 bits or float; got {pixels.shape} of {pixels.dtype}")
    levels = int(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else None
    (height, width, channels), (rows, columns) = pixels.shape, size
    if size == (height, width):
        return pixels
    exact = levels == 255 and short(height, rows) and short(width, columns)
    work = torch.float32 if exact else torch.float64
    like = work, torch.device("cpu")
    table = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).view(height, width * channels)
    result = np.empty((rows, columns * channels), pixels.dtype)
    vertical = runs(height, rows, rows / height, ROWS, 1, like)
    horizontal = runs(width, columns, columns / width, COLUMNS if channels == 1 else COLUMNS // 2, channels, like)
    for place, strip in _strips(table, vertical, _strip(table.shape[1], horizontal), levels, work):
        made = strip.new_empty(len(strip), columns * channels)
        _make_columns(strip, horizontal, made, levels)
        result[place] = made.numpy() if levels else made.clamp_(0, 1).numpy()
    return result.reshape(rows, columns, channels)


def mod_crop(hr: np.ndarray, scale: int) -> np.ndarray:
    """Cut (H, W, ...) to multiples of `scale`, keeping the top left corner.

    Raises:
        UsageError: the image is smaller than one LR pixel.
    """
    height, width = hr.shape[:2]
    if height < scale or width < scale:
        raise UsageError(f"an HR image of {width}x{height} pixels is too small for scale {scale}")
    return hr[: height - height % scale, : width - width % scale]


def _strip(width: int, horizontal: tuple[Run, ...]) -> int:
    """Rows between the two passes at once: more where the second pass takes many products."""
    return max(1, min(STRIP * max(1, len(horizontal) // 4), LARGEST_STRIP) // width)


def _strips(
    table: Tensor, vertical: tuple[Run, ...], most: int, levels: int | None, work: torch.dtype
) -> Iterator[tuple[slice, Tensor]]:
    """(A, B) of any type -> (place in the result, (up to about `most` rows, B) of type `work`), from the top."""
    for group in _groups(vertical, most):
        above, below = min(run.first for run in group), max(run.inputs.stop for run in group)
        seen = table[above:below].to(work)
        place = slice(group[0].place, group[-1].outputs.stop)
        rows = seen.new_empty(place.stop - place.start, table.shape[1])
        for run in group:
            used = seen[run.inputs.start - above : run.inputs.stop - above]
            target = rows[run.outputs.start - place.start : run.outputs.stop - place.start]
            outputs, taps = run.band.shape
            if run.count == 1:
                _product(run.band, used, target)
            else:  # batches of (taps, B) that overlap in memory
                windows = used.unfold(0, taps, run.step).transpose(1, 2)
                _product(run.band.expand(run.count, -1, -1), windows, target.view(run.count, outputs, -1))
        yield place, rows if levels is None else _round(rows, levels)


def _groups(vertical: tuple[Run, ...], most: int) -> Iterator[list[Run]]:
    """Runs one after the other, of about that many rows together."""
    group: list[Run] = []
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


def _make_columns(rows: Tensor, horizontal: tuple[Run, ...], result: Tensor, levels: int | None) -> None:
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
    """Into part of a matrix, which not every device does by itself."""
    if one.device.type != "cpu":
        target.copy_(one @ other)
    elif one.ndim == 3:
        torch.bmm(one, other, out=target)
    else:
        torch.mm(one, other, out=target)


def _round(values: Tensor, levels: int) -> Tensor:
    """In place. Sums that are ties go up, in whichever order a processor has added them."""
    return values.add_(0.5 + 1e-9).floor_().clamp_(0, levels)
