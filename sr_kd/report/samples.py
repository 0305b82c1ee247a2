"""Crops of images for the page: as many pixels as a limit of bytes allows, lossless, so that differences are exact."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping

import numpy as np
from PIL import Image

from .data import Sample, Version

BYTES_PER_PIXEL = 1.9  # of a photograph as lossless WebP in base64, as measured; textures take more
SMALLEST, LARGEST = 96, 400
OVERVIEW = 288


def crop_side(images: int, versions: int, limit: float) -> int:
    """The side of square crops of which `images` times `versions` take about `limit` bytes.

    >>> crop_side(8, 5, 9e6), crop_side(1000, 20, 9e6)
    (344, 96)
    """
    side = math.isqrt(int(limit / (max(1, images * versions) * BYTES_PER_PIXEL)))
    return max(SMALLEST, min(LARGEST, side))


def make_sample(
    test_set: str,
    image: str,
    box: tuple[int, int, int, int],
    hr: np.ndarray,
    lr: np.ndarray,
    versions: Mapping[str, np.ndarray],
    scale: int,
) -> Sample:
    """Cut one image's crop out of LR, every version, and HR.

    Args:
        box: left, top, width and height in HR pixels, multiples of `scale`.
        hr, versions: (H, W, C) uint8. lr: `scale` times smaller.
    """
    left, top, width, height = box
    inner = (slice(top, top + height), slice(left, left + width))
    small = tuple(slice(side.start // scale, side.stop // scale) for side in inner)
    shown = {"LR": lr[small], **{label: pixels[inner] for label, pixels in versions.items()}, "HR": hr[inner]}
    size = (hr.shape[1], hr.shape[0])
    return Sample(
        test_set, image, box, size, _overview(hr), tuple(Version(label, _webp(part)) for label, part in shown.items())
    )


def data_uri(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as a WebP of good quality."""
    return _encoded(_image(pixels), lossless=False, quality=80)


def _overview(hr: np.ndarray) -> str:
    whole = _image(hr)
    whole.thumbnail((OVERVIEW, OVERVIEW), Image.Resampling.LANCZOS)
    return _encoded(whole, lossless=False, quality=70)


def _webp(pixels: np.ndarray) -> str:
    return _encoded(_image(pixels), lossless=True, quality=20, method=2)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).convert("RGB")


def _encoded(image: Image.Image, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
