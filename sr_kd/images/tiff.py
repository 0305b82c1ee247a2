"""Reading TIFF: tifffile reads the tags, libvips (where it cannot, tifffile or Pillow) decodes the pixels."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import tifffile

from ..errors import SrKdError
from .image import Decoded, Metadata
from .metadata import DESCRIPTIVE, POINTERS, upright_exif, upright_xmp, usable_dpi
from .pillow import flatten, split
from .vips import check_pixels, fetch, vips

_WHITE, _BLACK, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8  # photometric interpretations
_COLORS = {_WHITE: 1, _BLACK: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_JPEG = 7
_BY_TIFFFILE = (1, 8, 32773, 32946)  # compressions, without its helper imagecodecs
_BY_VIPS = (1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946)  # compressions: none, fax, LZW, JPEG, deflate, packbits
_ASSOCIATED, _ALPHA = 1, (1, 2, 999)  # extra samples that are transparency; 999 is CorelDRAW's
_UNSIGNED = (0, 1, 4)  # sample formats
# Tags that say how the pixels are stored: sizes, colors, strips and tiles, compression and its options.
_STRUCTURE = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 338, 339, 347, 530}
)
_MATTEING = 32995  # SGI's: libtiff sees transparency, also where there is no sample for it
XMP, IPTC, ICC = 700, 33723, 34675
_LOST = {301: "a transfer function", 319: "a set of primaries", 34377: "Photoshop's own data"}


class _Page:
    """What the tags of one image in a file say."""

    def __init__(self, file: tifffile.TiffFile, index: int) -> None:
        page: Any = file.pages[index]
        self.index, self.page, self.tags = index, page, page.tags
        self.photometric, self.compression = int(page.photometric), int(page.compression)
        self.depths = self._tuple("BitsPerSample", (1,))
        self.width, self.height = int(page.imagewidth), int(page.imagelength)
        turned = self.said("Orientation", 1)
        self.orientation = turned if turned in range(1, 9) else 1
        if self.photometric not in _COLORS:
            name = getattr(page.photometric, "name", self.photometric)
            raise SrKdError(f"its colors are of the kind {name}, which is not read; save it as RGB or gray")
        if int(page.sampleformat) not in _UNSIGNED or max(self.depths) > 16:
            kind = "signed" if int(page.sampleformat) == 2 else "32-bit and floating-point"
            raise SrKdError(f"{kind} samples are not supported; save it with 8 or 16 bits")
        if set(self.depths) - {1, 2, 4, 8, 16} or len(set(self.depths)) > 1:
            raise SrKdError(
                f"samples of {'/'.join(map(str, self.depths))} bits are not supported; save it with 8 or 16"
            )
        colors = _COLORS[self.photometric]
        extra = int(page.samplesperpixel) - colors
        if extra < 0:
            raise SrKdError(f"damaged: {page.samplesperpixel} samples for {colors} colors")
        said = self._tuple("ExtraSamples", (2,) if extra == 1 else ())[:extra]  # old programs wrote alpha unsaid
        self.alpha = next((colors + at for at, kind in enumerate(said) if kind in _ALPHA), None)
        self.associated = self.alpha is not None and said[self.alpha - colors] == _ASSOCIATED
        self.extra, self._said = extra, said

    @property
    def channels(self) -> int:
        return 1 if self.photometric in (_WHITE, _BLACK) else 3

    @property
    def deep(self) -> bool:
        return self.depths[0] == 16 and self.photometric != _CMYK

    @property
    def by_vips(self) -> bool:
        """Whether libvips decodes it right: found by trying every combination."""
        return (
            self.compression in _BY_VIPS
            and (self.photometric in (_WHITE, _BLACK, _RGB) or self._palette or self._jpeg)
            and not (self.planes and (self.page.is_tiled or self.channels == 1))
            and not (_ASSOCIATED in self._said and self.extra > 1)
        )

    @property
    def by_tifffile(self) -> bool:
        """Whether tifffile does: its planes and extra samples come as they are stored."""
        usual = self.photometric in (_WHITE, _BLACK, _RGB) and self.depths[0] in (8, 16)
        return self.compression in _BY_TIFFFILE and usual

    @property
    def planes(self) -> bool:
        return int(self.page.planarconfig) == 2 and self.page.samplesperpixel > 1

    @property
    def _palette(self) -> bool:
        return self.photometric == _PALETTE and self.extra == 0

    @property
    def _jpeg(self) -> bool:
        return self.photometric == _YCBCR and self.compression == _JPEG

    def _tuple(self, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
        value = self.tags.valueof(name, otherwise)
        return tuple(map(int, value)) if isinstance(value, (tuple, list, np.ndarray, bytes)) else (int(value),)

    def said(self, name: str, otherwise: int) -> int:
        """A number of the metadata, which may be wrong in any way."""
        try:
            return self._tuple(name, (otherwise,))[0]
        except (TypeError, ValueError, IndexError, OverflowError):
            return otherwise


def read_tiff(data: bytes) -> Decoded:
    """Decode a TIFF file; reduced copies in it are passed over.

    Raises:
        SrKdError: several pages, or a kind that is not read. Other errors: a damaged file.
    """
    with _opened(io.BytesIO(data)) as file:
        page, notes = _page(file)
        metadata = _metadata(file, page, data, notes)
        if page.by_vips:
            return Decoded(*_samples(data, file, page), page.orientation, metadata, notes)
        if page.by_tifffile:
            return Decoded(*_as_stored(page), page.orientation, metadata, notes)
    return _by_pillow(data, page, metadata, notes)


def tiff_header(content: BinaryIO) -> tuple[int, int, int, int, bool]:
    """Height and width (upright), channels, bit depth and transparency, without decoding. EOFError: it is cut short."""
    with _opened(content) as file:
        page, _ = _page(file)
        parts = zip(page.page.dataoffsets, page.page.databytecounts, strict=False)
        if max((start + count for start, count in parts), default=0) > file.filehandle.size:
            raise EOFError
    height, width = (page.width, page.height) if page.orientation in (5, 6, 7, 8) else (page.height, page.width)
    return height, width, page.channels, 16 if page.deep else 8, page.alpha is not None


@contextmanager
def _opened(content: BinaryIO) -> Iterator[tifffile.TiffFile]:
    logger = logging.getLogger("tifffile")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # what it finds odd is no matter for standard error
    with tifffile.TiffFile(content) as file:
        yield file


def _page(file: tifffile.TiffFile) -> tuple[_Page, list[str]]:
    """The one image of a file, and a note of what is passed over."""
    pages: list[Any] = list(file.pages)
    main = [index for index, page in enumerate(pages) if not (page.is_reduced or page.is_mask)] or [0]
    count = max(len(main), int((file.imagej_metadata or {}).get("images", 1)))  # ImageJ's pages may have no tags
    if count > 1:
        raise SrKdError(f"this TIFF has {count} pages; split them into files")
    notes = ["a reduced copy or mask in the file was left out"] if len(pages) > 1 else []
    return _Page(file, main[0]), notes


def _samples(data: bytes, file: tifffile.TiffFile, page: _Page) -> tuple[np.ndarray, np.ndarray | None]:
    if page.extra or _MATTEING not in page.tags:
        with contextlib.suppress(vips().Error):  # perhaps for a tag that has nothing to do with the pixels
            return _by_vips(data, page, page.index)
    return _by_vips(_without_metadata(data, file, page), page, 0)


def _by_vips(data: bytes, page: _Page, index: int) -> tuple[np.ndarray, np.ndarray | None]:
    opened = vips().Image.tiffload_buffer(data, page=index, access="sequential", fail_on="error")
    gray_palette = page.photometric == _PALETTE and opened.bands == 1
    channels = 1 if gray_palette else page.channels
    if opened.bands != channels + (0 if page.photometric == _PALETTE else page.extra):
        raise SrKdError(f"its {opened.bands} samples a pixel are not what its tags say")
    return fetch(opened, channels, page.alpha)


def _without_metadata(data: bytes, file: tifffile.TiffFile, page: _Page) -> bytes:
    """The file with this page alone, and of its tags those that say how the pixels are stored."""
    form, start = file.tiff, page.page.offset
    kept = [data[tag.offset : tag.offset + form.tagsize] for tag in page.tags if tag.code in _STRUCTURE]
    directory = struct.pack(form.tagnoformat, len(kept)) + b"".join(kept) + bytes(form.offsetsize)
    first = 8 if file.is_bigtiff else 4
    bare = bytearray(data)
    bare[first : first + form.offsetsize] = struct.pack(form.offsetformat, start)
    bare[start : start + len(directory)] = directory
    return bytes(bare)


def _as_stored(page: _Page) -> tuple[np.ndarray, np.ndarray | None]:
    check_pixels(page.width, page.height)
    samples = page.page.asarray().reshape(page.page.shape)
    samples = np.moveaxis(samples, 0, -1) if page.planes else samples.reshape(page.height, page.width, -1)
    pixels, alpha = samples[..., : page.channels], None if page.alpha is None else samples[..., page.alpha]
    if page.photometric == _WHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if alpha is not None and page.associated:
        peak = np.iinfo(pixels.dtype).max
        straight = np.rint(pixels * (peak / np.maximum(alpha, 1)[..., None]))
        pixels = np.minimum(straight, peak).astype(pixels.dtype)
    return pixels, alpha


def _by_pillow(data: bytes, page: _Page, metadata: Metadata, notes: list[str]) -> Decoded:
    """What libvips does not decode right. Pillow turns it upright itself."""
    try:
        opened = PIL.Image.open(io.BytesIO(data), formats=["TIFF"])
    except PIL.UnidentifiedImageError:
        opened = None
    if opened is None or page.deep:
        raise SrKdError(
            f"a TIFF of {page.depths[0]} bits a sample with colors of kind {page.photometric}, compression "
            f"{page.compression} and {page.extra} extra samples is not supported; save it as RGB or gray, with "
            "deflate, LZW or no compression"
        )
    with opened:
        opened.seek(page.index)
        try:
            opened.load()
        except OSError as error:
            raise SrKdError(f"damaged, or compression {page.compression} is not supported here ({error})") from None
        if opened.mode in ("CMYK", "LAB"):
            notes.append(f"{opened.mode} was converted to sRGB{' of 8 bits' if page.depths[0] == 16 else ''}")
        flat, icc = flatten(opened, metadata.icc)
    return Decoded(*split(flat), 1, replace(metadata, icc=icc), notes)


def _metadata(file: tifffile.TiffFile, page: _Page, data: bytes, notes: list[str]) -> Metadata:
    tags = page.tags
    across, down = (_ratio(tags.valueof(name)) for name in ("XResolution", "YResolution"))
    unit = {2: 1.0, 3: 2.54}.get(page.said("ResolutionUnit", 2))
    dpi = None if unit is None or across is None or down is None else (across * unit, down * unit)
    xmp, iptc, icc = (_bytes(tags, code) for code in (XMP, IPTC, ICC))
    notes += [f"{name} ({code}) was left out" for code, name in _LOST.items() if code in tags]
    return Metadata(
        icc=icc,
        exif=_exif(file, page, data, notes),
        dpi=usable_dpi(dpi),
        xmp=upright_xmp(xmp, notes),
        iptc=iptc,
    )


def _exif(file: tifffile.TiffFile, page: _Page, data: bytes, notes: list[str]) -> bytes | None:
    exif, stored = PIL.Image.Exif(), PIL.Image.Exif()
    for tag in DESCRIPTIVE:
        if text := page.tags.valueof(tag):
            exif[tag] = str(text)
    try:
        stored.bigtiff, stored.endian = file.is_bigtiff, file.byteorder
        if pointers := [pointer for pointer in POINTERS if pointer in page.tags]:
            stored.load_from_fp(io.BytesIO(data), page.page.offset)
        for pointer in pointers:
            exif.get_ifd(pointer).update(stored.get_ifd(pointer))
        return upright_exif(exif)[1]
    except Exception:  # Pillow raises whatever the damage leads to
        notes.append("EXIF is damaged and was left out")
        return None


def _bytes(tags: Any, code: int) -> bytes | None:
    value = tags.valueof(code)
    if isinstance(value, (tuple, list)):  # IPTC is often said to be numbers of 32 bits
        with contextlib.suppress(struct.error, TypeError):
            return struct.pack(f"<{len(value)}I", *value)
    return value if isinstance(value, bytes) and value else None


def _ratio(value: Any) -> float | None:
    try:
        return value[0] / value[1]
    except (TypeError, ZeroDivisionError, IndexError):
        return None
