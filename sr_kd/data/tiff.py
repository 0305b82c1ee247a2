"""Writing TIFF with 8 or 16 bits a sample and all metadata, which neither Pillow nor OpenCV does."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .exif import DESCRIPTIVE, POINTERS, load_exif

if TYPE_CHECKING:
    from .image import Image

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, X_RESOLUTION, Y_RESOLUTION = 277, 278, 279, 282, 283
RESOLUTION_UNIT, PREDICTOR, EXTRA_SAMPLES, ICC_PROFILE = 296, 317, 338, 34675
DEFLATE, HORIZONTAL, INCH, STRAIGHT_ALPHA = 8, 2, 2, 2
LEVEL = 4
LARGEST = 2**32 - 1  # what its offsets reach


def write_tiff(file: BinaryIO, image: Image) -> None:
    """A deflated TIFF file with the image's metadata.

    Args:
        file: open for writing, empty, seekable.
        image: what to write. Gray with transparency in 16 bits, which Pillow does not read, becomes RGBA.

    Raises:
        ValueError: more than 4 GB.
    """
    if image.samples == 2 and image.bit_depth == 16:
        image = replace(image, pixels=np.broadcast_to(image.pixels, (image.height, image.width, 3)))
    directory = _directory(image)
    directory.save(file)  # shifts the strip offset to where the directory ends
    start = file.tell()
    for piece in _deflated(image):
        file.write(piece)
        if file.tell() > LARGEST:
            raise ValueError("TIFF holds at most 4 GB; use .png")
    directory[STRIP_BYTES] = file.tell() - start
    file.seek(0)
    directory.save(file)  # of the same length


def _directory(image: Image) -> ImageFileDirectory_v2:
    """All but the number of compressed bytes."""
    metadata, count = image.metadata, image.samples
    directory = ImageFileDirectory_v2()
    directory[WIDTH], directory[HEIGHT], directory[SAMPLES] = image.width, image.height, count
    directory[BITS] = (image.bit_depth,) * count
    directory[COMPRESSION], directory[PREDICTOR] = DEFLATE, HORIZONTAL
    directory[PHOTOMETRIC] = 2 if count >= 3 else 1
    directory[ROWS_PER_STRIP], directory[STRIP_BYTES], directory[STRIP_OFFSETS] = image.height, 0, 0
    if count in (2, 4):
        directory[EXTRA_SAMPLES] = STRAIGHT_ALPHA
    if metadata.icc:
        directory.tagtype[ICC_PROFILE] = 7
        directory[ICC_PROFILE] = metadata.icc
    if metadata.dpi:
        directory[RESOLUTION_UNIT] = INCH
        directory[X_RESOLUTION], directory[Y_RESOLUTION] = metadata.dpi
    if metadata.exif:
        parsed = load_exif(metadata.exif)
        for tag in DESCRIPTIVE:
            if tag in parsed:
                directory[tag] = parsed[tag]
        for pointer in POINTERS:
            if detail := parsed.get_ifd(pointer):
                directory[pointer] = dict(detail)
    return directory


def _deflated(image: Image) -> Iterator[bytes]:
    """Differences to the pixel at the left (little endian), compressed."""
    deflate = zlib.compressobj(LEVEL)
    for stripe in image.stripes():
        differences = np.array(stripe, stripe.dtype.newbyteorder("<"), order="C")
        differences[:, 1:] -= stripe[:, :-1]
        yield deflate.compress(differences.data)
    yield deflate.flush()
