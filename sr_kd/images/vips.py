"""libvips, which decodes and encodes PNG and TIFF: every depth, in stripes."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
import PIL.Image

from ..errors import SrKdError
from ..memory import free_address_space
from .image import STRIPE_BYTES

_ROOM = 2**26  # bytes of addresses
TYPES = {"uchar": np.uint8, "ushort": np.uint16}


def vips() -> Any:
    """The module pyvips. It is imported at first use, and keeps nothing of one image for the next.

    Raises:
        SrKdError: it is missing. MemoryError: its threads would find no room, which it does not survive.
    """
    free = free_address_space()
    if free is not None and free < _ROOM:
        raise MemoryError
    return _imported()


@cache
def _imported() -> Any:
    os.environ.setdefault("VIPS_WARNING", "0")  # it would write to standard error
    try:
        import pyvips
    except (ImportError, OSError) as error:
        raise SrKdError(f"PNG and TIFF need libvips ({error}): pip install 'pyvips[binary]'") from None
    pyvips.cache_set_max(0)
    return pyvips


def fetch(opened: Any, channels: int, alpha: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode an opened image, in this thread: a process that forks later has nothing to fear.

    Args:
        opened: a pyvips image, not yet decoded.
        channels: how many of its bands are colors: the first 1 or 3.
        alpha: which band is transparency.

    Returns:
        (H, W, channels), and (H, W) or None.

    Raises:
        PIL.Image.DecompressionBombError: too many pixels. pyvips.Error: a damaged file.
    """
    check_pixels(opened.width, opened.height)
    height, width, bands, dtype = opened.height, opened.width, opened.bands, TYPES[opened.format]
    pixels = np.empty((height, width, channels), dtype)
    transparency = None if alpha is None else np.empty((height, width), dtype)
    region = vips().Region.new(opened)
    rows = max(1, STRIPE_BYTES // (width * bands * pixels.itemsize))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        part = np.frombuffer(region.fetch(0, top, width, count), dtype).reshape(count, width, bands)
        pixels[top : top + count] = part[..., :channels]
        if transparency is not None:
            transparency[top : top + count] = part[..., alpha]
    return pixels, transparency


def check_pixels(width: int, height: int) -> None:
    """Pillow's rule for its own formats: PIL.Image.DecompressionBombError for more than twice its limit."""
    most = PIL.Image.MAX_IMAGE_PIXELS
    if most is not None and width * height > 2 * most:
        raise PIL.Image.DecompressionBombError


def wrap(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Any:
    """A pyvips image of (H, W, C) pixels and (H, W) transparency; it shares their memory where they lie in order."""

    def plane(array: np.ndarray) -> Any:
        array = np.ascontiguousarray(array if array.ndim == 3 else array[..., None])
        kind = next(name for name, dtype in TYPES.items() if dtype == array.dtype)
        height, width, bands = array.shape
        return vips().Image.new_from_memory(array.data, width, height, bands, kind)

    deep, gray = pixels.dtype == np.uint16, pixels.shape[2] == 1
    said = ("grey16" if deep else "b-w") if gray else ("rgb16" if deep else "srgb")
    joined = plane(pixels) if alpha is None else plane(pixels).bandjoin(plane(alpha))
    return joined.copy(interpretation=said)
