"""TIFF: tifffile reads its tags and writes it, libvips (where it cannot, Pillow) decodes it."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import tifffile
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import SrKdError
from .image import Decoded, Image, Metadata
from .metadata import DESCRIPTIVE, POINTERS, load_exif, upright_exif, upright_xmp, usable_dpi
from .pillow import flatten, split
from .vips import check_pixels, fetch, vips

_WHITE, _BLACK, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8  # photometric interpretations
_COLORS = {_WHITE: 1, _BLACK: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_JPEG = 7
_BY_TIFFFILE = (1, 8, 32773, 32946)  # compressions, without its helper imagecodecs
_BY_VIPS = (1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946)  # compressions: none, fax, LZW, JPEG, deflate, packbits
_ASSOCIATED, _ALPHA = 1, (1, 2, 999)  # extra samples that are transparency; 999 is CorelDRAW's
_UNSIGNED = (0, 1, 4)  # sample formats
_XMP, _IPTC, _ICC = 700, 33723, 34675
_LOST = {301: "a transfer function", 319: "primaries of its own", 34377: "Photoshop's image resources"}
_LEVEL = 4
_LARGEST = 2**32 - 2**25  # bytes that a classic TIFF file surely holds


class _Page:
    """What the tags of one image in a file say."""

    def __init__(self, file: tifffile.TiffFile, index: int) -> None:
        page: Any = file.pages[index]
        self.index, self.page, self.tags = index, page, page.tags
        self.photometric, self.compression = int(page.photometric), int(page.compression)
        self.depths = self._tuple("BitsPerSample", (1,))
        self.width, self.height = int(page.imagewidth), int(page.imagelength)
        self.orientation = int(self._tuple("Orientation", (1,))[0])
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
        return tuple(map(int, value)) if isinstance(value, (tuple, list, np.ndarray)) else (int(value),)


def read_tiff(data: bytes) -> Decoded:
    """Decode a TIFF file; reduced copies in it are passed over.

    Raises:
        SrKdError: several pages, or a kind that is not read. Other errors: a damaged file.
    """
    with _opened(io.BytesIO(data)) as file:
        page, notes = _page(file)
        metadata = _metadata(file, page, data, notes)
        if page.by_vips:
            opened = vips().Image.tiffload_buffer(data, page=page.index, access="sequential", fail_on="error")
            if opened.bands != (page.channels if page.photometric == _PALETTE else page.channels + page.extra):
                raise SrKdError(f"its {opened.bands} samples a pixel are not what its tags say")
            return Decoded(*fetch(opened, page.channels, page.alpha), page.orientation, metadata, notes)
        if page.by_tifffile:
            return Decoded(*_as_stored(page), page.orientation, metadata, notes)
    return _by_pillow(data, page, metadata, notes)


def tiff_header(content: BinaryIO) -> tuple[int, int, int, int, bool]:
    """Height and width (upright), channels, bit depth and transparency, without decoding."""
    with _opened(content) as file:
        page, _ = _page(file)
    height, width = (page.width, page.height) if page.orientation in (5, 6, 7, 8) else (page.height, page.width)
    return height, width, page.channels, 16 if page.deep else 8, page.alpha is not None


def write_tiff(file: BinaryIO, image: Image, metadata: Metadata) -> list[str]:
    """A deflated TIFF file with the metadata; returns what could not be written.

    Args:
        file: open for reading and writing, empty.
        image: what to write. Gray with transparency in 16 bits, which Pillow does not read, becomes RGBA.
        metadata: that of the image, brought up to date.
    """
    if image.samples == 2 and image.bit_depth == 16:
        image = replace(image, pixels=np.broadcast_to(image.pixels, (image.height, image.width, 3)))
    notes: list[str] = []
    options, details = _tags(metadata, notes)
    with tifffile.TiffWriter(file, bigtiff=image.nbytes > _LARGEST, byteorder="<") as writer:
        writer.write(
            _strips(image),
            shape=(image.height, image.width, image.samples)[: 2 if image.samples == 1 else 3],
            dtype=image.pixels.dtype,
            photometric="minisblack" if image.samples < 3 else "rgb",
            extrasamples=["unassalpha"] if image.alpha is not None else None,
            planarconfig="contig" if image.samples > 1 else None,
            rowsperstrip=len(next(image.stripes())),
            compression="zlib",
            predictor="horizontal",
            metadata=None,
            **options,
        )
    if details:
        _append(file, details, bigtiff=image.nbytes > _LARGEST)
    return notes


def _strips(image: Image) -> Iterator[bytes]:
    """Each the differences to the pixel at the left (little endian), compressed."""
    for stripe in image.stripes():
        differences = np.array(stripe, stripe.dtype.newbyteorder("<"), order="C")
        differences[:, 1:] -= stripe[:, :-1]
        yield zlib.compress(differences.data, _LEVEL)


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
    passed = len(pages) - 1
    notes = [f"{passed} reduced {'copy' if passed == 1 else 'copies'} in the file left out"] if passed else []
    return _Page(file, main[0]), notes


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
        opened.load()
        if opened.mode == "CMYK":
            notes.append("CMYK was converted to sRGB")
        flat, icc = flatten(opened, metadata.icc)
    return Decoded(*split(flat), 1, replace(metadata, icc=icc), notes)


def _metadata(file: tifffile.TiffFile, page: _Page, data: bytes, notes: list[str]) -> Metadata:
    tags = page.tags
    across, down = (_ratio(tags.valueof(name)) for name in ("XResolution", "YResolution"))
    unit = {2: 1.0, 3: 2.54}.get(int(tags.valueof("ResolutionUnit", 2) or 2))
    dpi = None if unit is None or across is None or down is None else (across * unit, down * unit)
    xmp, iptc, icc = (_bytes(tags, code) for code in (_XMP, _IPTC, _ICC))
    notes += [f"{name} ({code}) left out" for code, name in _LOST.items() if code in tags]
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


def _tags(metadata: Metadata, notes: list[str]) -> tuple[dict[str, Any], dict[int, dict[int, Any]]]:
    """tifffile's arguments, and the directories that are appended."""
    options: dict[str, Any] = {"software": False, "iccprofile": metadata.icc}
    extra: list[tuple[int, Any, int, Any, bool]] = [(int(Base.Orientation), "H", 1, 1, True)]
    details: dict[int, dict[int, Any]] = {}
    if metadata.dpi:
        options |= {"resolution": metadata.dpi, "resolutionunit": "INCH"}
    for code, content in ((_XMP, metadata.xmp), (_IPTC, metadata.iptc)):
        if content:
            extra.append((code, "B", len(content), content, True))
    if metadata.exif:
        try:
            parsed = load_exif(metadata.exif)
            texts = {int(tag): str(parsed[tag]).encode() for tag in DESCRIPTIVE if tag in parsed}
            details = {pointer: dict(detail) for pointer in POINTERS if (detail := parsed.get_ifd(pointer))}
            for pointer, detail in details.items():
                _directory(pointer, detail, 0, bigtiff=False)  # whether it can be written
        except Exception:  # Pillow raises whatever the damage leads to
            notes.append("EXIF")
            return options | {"extratags": extra}, {}
        for tag, name in ((Base.ImageDescription, "description"), (Base.Software, "software")):
            if tag in texts:
                options[name] = texts.pop(tag)
        extra += [(tag, "s", len(text) + 1, text + b"\0", True) for tag, text in texts.items()]
        extra += [(pointer - 1, "I", 1, 0, True) for pointer in details]  # tifffile refuses their own numbers
    return options | {"extratags": extra}, details


def _append(file: BinaryIO, details: dict[int, dict[int, Any]], *, bigtiff: bool) -> None:
    """Directories of EXIF at the end of a finished file, whose pointers so far have the numbers before theirs."""
    for pointer, detail in details.items():
        offset = file.seek(0, io.SEEK_END)
        offset += file.write(b"\0" * (offset % 2))
        file.write(_directory(pointer, detail, offset, bigtiff=bigtiff))
        file.seek(0)
        with tifffile.TiffFile(file, mode="r+") as again:
            tag = again.pages.first.tags[pointer - 1]
            tag.overwrite(offset)
            file.seek(tag.offset)
            file.write(struct.pack("<H", pointer))


def _directory(pointer: int, detail: dict[int, Any], offset: int, *, bigtiff: bool) -> bytes:
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if bigtiff else struct.pack("<2sHI", b"II", 42, 8)
    directory = ImageFileDirectory_v2(head, group=pointer)
    for tag, value in detail.items():
        directory[tag] = value
    return directory.tobytes(offset)


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
