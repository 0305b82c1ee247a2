"""PNG: libvips reads and writes the pixels, Pillow what stands beside them, one chunk at a time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from ..errors import SrKdError
from .image import Decoded, Image, Metadata
from .metadata import from_pillow
from .vips import fetch, vips, wrap

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
COLOR = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SAID = {b"eXIf": "EXIF", b"pHYs": "dots per inch", b"tEXt": "a text", b"zTXt": "a text", b"iTXt": "a text"}
_PROFILE, _ANIMATION = b"iCCP", b"acTL"
_LONGEST_PROFILE = 2**26
_MOST_SAID = 256  # entries: a small file can hold 100,000, each read on its own
_BEGIN = len(SIGNATURE) + 25  # where the first chunk, IHDR, ends
_FILTER, _LEVEL = "avg", 2  # the filter that suits upscaled images best makes up for a low level


class _Chunk(NamedTuple):
    kind: bytes
    content: memoryview
    stored: memoryview  # with its length, name and checksum


def read_png(data: bytes) -> Decoded:
    """Decode a PNG file.

    Raises:
        SrKdError, pyvips.Error: it is animated or damaged.
    """
    chunks = list(_chunks(data))
    for chunk in chunks:
        if chunk.kind == _ANIMATION and (count := int.from_bytes(chunk.content[:4], "big")) > 1:
            raise SrKdError(f"this PNG has {count} frames; animations are not supported")
    # Nothing but pixels reaches the decoder: no other chunk, however large or wrong, costs the image.
    bare = b"".join([SIGNATURE, *(chunk.stored for chunk in chunks if chunk.kind in _PIXELS)])
    opened = vips().Image.pngload_buffer(bare, access="sequential", fail_on="error")
    channels = 1 if opened.bands < 3 else 3
    pixels, alpha = fetch(opened, channels, channels if opened.bands in (2, 4) else None)
    return Decoded(pixels, alpha, *_read_metadata(chunks))


def write_png(file: BinaryIO, image: Image, chunks: bytes) -> None:
    """Write a PNG file.

    Args:
        file: open for writing.
        image: its pixels and transparency; its metadata does not count.
        chunks: what stands before the pixels, from `pack`.
    """
    begin: bytearray | None = bytearray()  # until the pixels begin
    failed: list[OSError] = []

    def write(piece: Any) -> int:
        nonlocal begin
        try:
            if begin is None:
                file.write(piece)
            else:
                begin += piece
                if (pixels := begin.find(b"IDAT")) > 0:
                    file.write(begin[:_BEGIN] + chunks + begin[pixels - 4 :])
                    begin = None
        except OSError as error:  # it must not pass through libvips
            failed.append(error)
            return -1
        return len(piece)

    target = vips().TargetCustom()
    target.on_write(write)
    try:
        wrap(image.pixels, image.alpha).pngsave_target(target, compression=_LEVEL, filter=_FILTER, keep="none")
    except vips().Error:
        if not failed:
            raise
    if failed:
        raise failed[0]


def pack(text: tuple[str, str] | None = None, raw: tuple[bytes, bytes] | None = None, **options: Any) -> bytes:
    """The chunks that say one thing.

    Args:
        text: a keyword and its text.
        raw: a chunk's name and content.
        options: what Pillow takes: icc_profile, exif, dpi.

    Raises:
        Exception: Pillow cannot write it, or not read it again.
    """
    info = PngInfo()
    if text is not None:
        info.add_itxt(*text) if text[0] == XMP_KEYWORD else info.add_text(*text)
    buffer = io.BytesIO()
    PIL.Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=info, **options)
    made = [bytes(chunk.stored) for chunk in _chunks(buffer.getvalue()) if chunk.kind not in _PIXELS]
    said = b"".join(made if raw is None else [_stored(*raw)])
    with _one_pixel(said) as opened:
        opened.load()
    return said


def _one_pixel(chunks: bytes | memoryview) -> PIL.Image.Image:
    """An opened image with these chunks."""
    header = _stored(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixel = _stored(b"IDAT", zlib.compress(b"\0\0"))
    data = b"".join([SIGNATURE, header, chunks, pixel, _stored(b"IEND", b"")])
    return PIL.Image.open(io.BytesIO(data), formats=["PNG"])


def _read_metadata(chunks: list[_Chunk]) -> tuple[int, Metadata, list[str]]:
    """Each chunk alone, in an image of one pixel, so that one that is wrong is all that is lost."""
    by_exif: int | None = None
    by_xmp, metadata, notes = 1, Metadata(), list[str]()
    color = {chunk.kind: bytes(chunk.content) for chunk in _before_pixels(chunks) if chunk.kind in COLOR}
    for chunk in [chunk for chunk in chunks if chunk.kind == _PROFILE][-1:]:
        icc = _profile(bytes(chunk.content))
        metadata = replace(metadata, icc=icc)
        if icc is None:
            notes.append("the color profile is damaged and was left out")
    said = [chunk for chunk in chunks if chunk.kind in _SAID]
    if len(said) > _MOST_SAID:
        notes.append(f"of {len(said):,} entries of metadata, those after the first {_MOST_SAID} were left out")
    for chunk in said[:_MOST_SAID]:
        try:
            with _one_pixel(chunk.stored) as opened:
                opened.load()
                turned, found, more = from_pillow(opened)
        except Exception:  # Pillow raises whatever the damage leads to
            notes.append(f"{_SAID[chunk.kind]} is damaged or too long and was left out")
            continue
        notes += more
        if found.xmp:  # it may state the orientation, too: EXIF counts before it
            by_xmp, found = turned, replace(found, exif=None)
        elif found.exif:
            by_exif = turned
        metadata = replace(
            metadata,
            exif=found.exif or metadata.exif,
            dpi=found.dpi or metadata.dpi,
            xmp=found.xmp or metadata.xmp,
            text={**metadata.text, **found.text},
        )
    return by_exif or by_xmp, replace(metadata, png_color=color), notes


def _profile(content: bytes) -> bytes | None:
    _, _, rest = content.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(rest[1:], _LONGEST_PROFILE)
    except zlib.error:
        return None
    return profile if profile[36:40] == b"acsp" else None


def _before_pixels(chunks: list[_Chunk]) -> Iterator[_Chunk]:
    for chunk in chunks:
        if chunk.kind == b"IDAT":
            return
        yield chunk


def _chunks(png: bytes) -> Iterator[_Chunk]:
    """The chunks of a PNG file; the last one may be cut short."""
    view, position = memoryview(png), len(SIGNATURE)
    while position + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        end = position + length + 12
        yield _Chunk(kind, view[position + 8 : end - 4], view[position:end])
        position = end


def _stored(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
