"""What an image is in a file of each format, written piece by piece."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from .exif import resize_exif
from .plain import fitting_profile
from .png import write_png
from .tiff import write_tiff

if TYPE_CHECKING:
    from .image import Image, Metadata

DEFAULT_QUALITY = {"JPEG": 95, "AVIF": 90}


def encode_image(file: BinaryIO, image: Image, kind: str, quality: int | None) -> None:
    """Write an image to an empty binary file.

    PNG and TIFF are written in stripes, so that neither the file nor a copy of the image is ever in memory.

    Args:
        file: seekable.
        image: what to write.
        kind: Pillow's name of the format.
        quality: as in `write_image`.

    Raises:
        ValueError, KeyError: the format cannot hold the image or its metadata.
    """
    metadata = replace(
        image.metadata,
        icc=fitting_profile(image.metadata.icc, image.channels),
        exif=resize_exif(image.metadata.exif, image.width, image.height),
    )
    if kind == "TIFF":
        write_tiff(file, replace(image, metadata=metadata))
        return
    options = _save_options(kind, metadata, quality)
    if kind == "PNG":
        write_png(file, image, options)
        return
    samples = _eight_bits(image)
    pillow_image = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    del samples  # Pillow has its own copy
    buffer = io.BytesIO()  # straight to the file, Pillow would not say that the disk is full
    pillow_image.save(buffer, format=kind, **options)
    file.write(buffer.getbuffer())


def _eight_bits(image: Image) -> np.ndarray:
    """(H, W, C) uint8, transparency as the last channel."""
    if image.bit_depth == 8 and image.alpha is None:
        return image.pixels
    result = np.empty((image.height, image.width, image.samples), np.uint8)
    top = 0
    for stripe in image.stripes():
        rounded = stripe if stripe.dtype == np.uint8 else (stripe.astype(np.uint32) + 128) // 257
        result[top : top + len(stripe)] = rounded
        top += len(stripe)
    return result


def _save_options(kind: str, metadata: Metadata, quality: int | None) -> dict[str, Any]:
    """Pillow's arguments for this format."""
    options: dict[str, Any] = {}
    if metadata.dpi and kind in ("PNG", "JPEG", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.icc and kind != "BMP":
        options["icc_profile"] = metadata.icc
    if metadata.exif and kind != "BMP":
        options["exif"] = metadata.exif
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        for key, value in metadata.text.items():
            options["pnginfo"].add_text(key, value)
        for name, content in metadata.png_color.items():
            options["pnginfo"].add(name, content)
    elif kind == "WEBP":
        options |= {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    elif kind in DEFAULT_QUALITY:
        options |= {"quality": DEFAULT_QUALITY[kind] if quality is None else quality, "subsampling": "4:4:4"}
    return options
