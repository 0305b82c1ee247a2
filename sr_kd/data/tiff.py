"""Writing TIFF with 8 or 16 bits a sample and all metadata, which neither Pillow nor OpenCV does."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .exif import DESCRIPTIVE, POINTERS, load_exif

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, X_RESOLUTION, Y_RESOLUTION = 277, 278, 279, 282, 283
RESOLUTION_UNIT, PREDICTOR, EXTRA_SAMPLES, ICC_PROFILE = 296, 317, 338, 34675
DEFLATE, HORIZONTAL, INCH, STRAIGHT_ALPHA = 8, 2, 2, 2


def encode_tiff(samples: np.ndarray, icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """A deflated TIFF file.

    Args:
        samples: (H, W, 1 to 4) uint8 or uint16: grey, grey + alpha, RGB or RGBA. Grey + alpha with 16
            bits, which Pillow does not read, becomes RGBA.
        icc, exif, dpi: as in `Metadata`.
    """
    if samples.shape[2] == 2 and samples.dtype == np.uint16:
        samples = samples[..., [0, 0, 0, 1]]
    height, width, count = samples.shape
    directory = ImageFileDirectory_v2()
    packed = _compress(samples)
    directory[WIDTH], directory[HEIGHT], directory[SAMPLES] = width, height, count
    directory[BITS] = (8 * samples.dtype.itemsize,) * count
    directory[COMPRESSION], directory[PREDICTOR] = DEFLATE, HORIZONTAL
    directory[PHOTOMETRIC] = 2 if count >= 3 else 1
    directory[ROWS_PER_STRIP], directory[STRIP_BYTES], directory[STRIP_OFFSETS] = height, len(packed), 0
    if count in (2, 4):
        directory[EXTRA_SAMPLES] = STRAIGHT_ALPHA
    if icc:
        directory.tagtype[ICC_PROFILE] = 7
        directory[ICC_PROFILE] = icc
    if dpi:
        directory[RESOLUTION_UNIT] = INCH
        directory[X_RESOLUTION], directory[Y_RESOLUTION] = dpi
    if exif:
        parsed = load_exif(exif)
        for tag in DESCRIPTIVE:
            if tag in parsed:
                directory[tag] = parsed[tag]
        for pointer in POINTERS:
            if detail := parsed.get_ifd(pointer):
                directory[pointer] = dict(detail)
    file = io.BytesIO()
    directory.save(file)  # shifts the strip offset to where the directory ends
    file.write(packed)
    return file.getvalue()


def _compress(samples: np.ndarray, rows: int = 256) -> bytes:
    """Differences to the pixel at the left (little endian), then deflate."""
    deflate = zlib.compressobj(4)
    pieces = []
    for top in range(0, samples.shape[0], rows):
        block = samples[top : top + rows].copy()
        block[:, 1:] -= samples[top : top + rows, :-1]
        pieces.append(deflate.compress(block.astype(block.dtype.newbyteorder("<")).tobytes()))
    return b"".join((*pieces, deflate.flush()))
