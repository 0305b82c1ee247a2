"""Writing TIFF, by tifffile: in strips, so that there is no copy of the image in memory, with all metadata."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .image import Image, Metadata
from .metadata import DESCRIPTIVE, POINTERS, load_exif
from .tiff import IPTC, XMP

_LEVEL = 4
_LARGEST = 2**32 - 2**25  # bytes that a classic TIFF file surely holds


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


def _tags(metadata: Metadata, notes: list[str]) -> tuple[dict[str, Any], dict[int, dict[int, Any]]]:
    """tifffile's arguments, and the directories that are appended."""
    options: dict[str, Any] = {"software": False, "iccprofile": metadata.icc}
    extra: list[tuple[int, Any, int, Any, bool]] = [(int(Base.Orientation), "H", 1, 1, True)]
    details: dict[int, dict[int, Any]] = {}
    if metadata.dpi:
        options |= {"resolution": metadata.dpi, "resolutionunit": "INCH"}
    for code, content in ((XMP, metadata.xmp), (IPTC, metadata.iptc)):
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
