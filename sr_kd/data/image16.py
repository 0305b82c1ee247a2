"""16-bit colour, which Pillow cannot hold: OpenCV decodes it; PNG is written with Pillow's metadata chunks."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, cast

import cv2
import numpy as np
import PIL.Image
import PIL.ImageFile

from ..errors import SrKdError

BITS_PER_SAMPLE = 258
PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of samples: grey, grey + alpha, RGB, RGBA


def deep_format(opened: PIL.ImageFile.ImageFile) -> Literal["grey", "colour"] | None:
    """Whether an opened, not yet loaded PNG or TIFF has 16 bits a sample, and of which kind."""
    if opened.format == "PNG":
        stream = cast(BinaryIO, opened.fp)
        position = stream.tell()
        stream.seek(24)
        depth, colour_type = stream.read(2)
        stream.seek(position)
        return None if depth != 16 else ("grey" if colour_type in (0, 4) else "colour")
    if opened.format == "TIFF":
        tags: Any = getattr(opened, "tag_v2", {})
        if set(tags.get(BITS_PER_SAMPLE, (1,))) == {16} and opened.mode != "CMYK":
            return "grey" if opened.mode.startswith("I;16") else "colour"
    return None


def decode_deep(data: bytes, grey: bool) -> np.ndarray:
    """(H, W, C) uint16: grey (1 sample, 2 with alpha) or RGB (3, 4 with alpha).

    Raises:
        SrKdError: OpenCV cannot decode it, or not with 16 bits.
    """
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise SrKdError("damaged, or of an unsupported 16-bit kind")
    if samples.ndim == 2:
        return samples[..., None]
    if grey:
        return samples[..., [0, 3]] if samples.shape[2] == 4 else samples[..., :1]
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def encode_deep_png(samples: np.ndarray, options: dict[str, Any]) -> bytes:
    """A 16-bit PNG file.

    Args:
        samples: (H, W, 1 to 4) uint16: grey, grey + alpha, RGB or RGBA.
        options: what Pillow's ``save`` takes: icc_profile, exif, dpi, pnginfo.
    """
    height, width, count = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPES[count], 0, 0, 0)
    like = PIL.Image.new({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[count], (1, 1))
    buffer = io.BytesIO()
    like.save(buffer, format="PNG", **options)
    about = [chunk for kind, chunk in _chunks(buffer.getvalue()) if kind not in (b"IHDR", b"IDAT", b"IEND")]
    packed = _compress(samples)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), *about, *(_chunk(b"IDAT", p) for p in packed), _chunk(b"IEND"))
    )


def _compress(samples: np.ndarray, rows: int = 256) -> Iterator[bytes]:
    """PNG's "sub" filter (difference to the pixel at the left, bytewise, big endian), then deflate."""
    deflate = zlib.compressobj(4)
    step = 2 * samples.shape[2]
    for top in range(0, samples.shape[0], rows):
        stored = samples[top : top + rows].astype(">u2").reshape(min(rows, samples.shape[0] - top), -1).view(np.uint8)
        filtered = np.ones((stored.shape[0], stored.shape[1] + 1), np.uint8)  # filter type 1 leads each row
        filtered[:, 1 : step + 1] = stored[:, :step]
        np.subtract(stored[:, step:], stored[:, :-step], out=filtered[:, step + 1 :])
        if piece := deflate.compress(filtered.tobytes()):
            yield piece
    yield deflate.flush()


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, whole chunk) of a PNG file."""
    position = 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        yield png[position + 4 : position + 8], png[position : position + length + 12]
        position += length + 12


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
