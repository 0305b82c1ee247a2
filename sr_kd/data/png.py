"""PNG: its chunks about color, and writing it in stripes, with little memory and much faster than Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from .image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of samples: gray, gray + alpha, RGB, RGBA
COLOR = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
# The filter that suits upscaled images best makes up for the lowest level: files 5 % larger than the usual ones.
AVERAGE, LEVEL = 3, 1


def write_png(file: BinaryIO, image: Image, options: dict[str, Any]) -> None:
    """A PNG file.

    Args:
        file: open for writing.
        image: its pixels and transparency; its metadata does not count.
        options: what stands beside the pixels, as Pillow's ``save`` takes it: icc_profile, exif, dpi, pnginfo.

    Raises:
        ValueError: options that Pillow refuses.
    """
    header = struct.pack(">IIBBBBB", image.width, image.height, image.bit_depth, COLOR_TYPES[image.samples], 0, 0, 0)
    file.write(SIGNATURE + _chunk(b"IHDR", header))
    like = PIL.Image.new({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[image.samples], (1, 1))
    buffer = io.BytesIO()
    like.save(buffer, format="PNG", **options)
    for kind, content in _chunks(buffer.getvalue()):
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            file.write(_chunk(kind, content))
    for piece in _deflated(image):
        file.write(_chunk(b"IDAT", piece))
    file.write(_chunk(b"IEND"))


def read_color(png: bytes) -> dict[bytes, bytes]:
    """What stands before the pixels about their colors, beside the profile."""
    before = takewhile(lambda chunk: chunk[0] != b"IDAT", _chunks(png))
    return {kind: content for kind, content in before if kind in COLOR}


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of every chunk of a PNG file, as far as it is whole."""
    position = len(SIGNATURE)
    while position + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + length]
        position += length + 12


def _deflated(image: Image) -> Iterator[bytes]:
    """What the IDAT chunks hold: each byte minus the mean of those of the pixels at the left and above, compressed."""
    deflate = zlib.compressobj(LEVEL)
    step = image.samples * image.bit_depth // 8  # from a byte to the one of the pixel at the left
    last = np.zeros(image.width * step, np.uint8)
    for stripe in image.stripes():
        stored = np.ascontiguousarray(stripe, stripe.dtype.newbyteorder(">")).reshape(len(stripe), -1).view(np.uint8)
        above = np.vstack([last, stored[:-1]])
        filtered = np.empty((len(stored), last.size + 1), np.uint8)
        filtered[:, 0] = AVERAGE
        np.subtract(stored[:, :step], above[:, :step] >> 1, out=filtered[:, 1 : step + 1])
        left, above = stored[:, :-step], above[:, step:]
        mean = (left & above) + ((left ^ above) >> 1)  # without a ninth bit
        np.subtract(stored[:, step:], mean, out=filtered[:, step + 1 :])
        last = stored[-1]
        if piece := deflate.compress(filtered.data):
            yield piece
    yield deflate.flush()


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
