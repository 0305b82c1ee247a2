"""EXIF, XMP and the rest: the orientation is applied and reset, sizes are brought up to date, all else stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD, Base

from .image import Metadata

# A TIFF file mixes what describes the image with what describes the file; only the former is kept.
DESCRIPTIVE = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
    Base.Copyright,
)
POINTERS = (IFD.Exif, IFD.GPSInfo)
MOST_DPI = 1e6
# XMP states a value as an attribute, name="value", or as an element, <name>value</name>, under any prefix.
# The time that these patterns take must grow with the packet's length, not with its square: it may have many megabytes.
_STATED = rb"""(\b%s(?:\s*=\s*["']|\s*>))\s*-?\d+\s*(["']|<)"""
# What points to parts of the file that are not kept, as attributes or elements, and what is then lost.
_ELSEWHERE = {
    rb"hdrgm:[\w.-]+|Container:Directory": None,  # said with the pixels, as not all gain maps are announced in XMP
    rb"\w+:(?:MotionPhoto|MicroVideo)\w*": "the video of a motion photo was left out",
    rb"\w+:HasExtendedXMP": "the second part of the XMP was left out",
}


def from_pillow(opened: PIL.Image.Image) -> tuple[int, Metadata, list[str]]:
    """What an opened file says: its orientation (1 to 8), the metadata made upright, and notes of what is damaged.

    TIFF has its own way; PNG's color stays out.
    """
    info, notes = opened.info, []
    try:
        exif = opened.getexif()
    except Exception:  # Pillow raises whatever the damage leads to
        exif = None
    orientation, content = upright_exif(exif)
    if content is None and info.get("exif"):
        notes.append("EXIF is damaged and was left out")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    comment = info.get("comment")
    text = {} if comment is None else {"Comment": _text(comment)}
    for key, value in getattr(opened, "text", {}).items():
        if key == "XML:com.adobe.xmp" or (key in ("Raw profile type exif", "Raw profile type APP1") and content):
            continue  # is kept as what it is
        if str(key).startswith("Raw profile type"):
            notes.append(f"PNG text '{key}' was left out")
        else:
            text[str(key)] = str(value)
    photoshop = info.get("photoshop")
    iptc = photoshop.get(0x0404) if isinstance(photoshop, Mapping) else None
    metadata = Metadata(
        icc=info.get("icc_profile") or None,
        exif=content,
        dpi=usable_dpi(info.get("dpi")),
        text=text,
        xmp=upright_xmp(xmp, notes),
        iptc=iptc if isinstance(iptc, bytes) else None,
    )
    return orientation, metadata, notes


def upright_exif(exif: PIL.Image.Exif | None) -> tuple[int, bytes | None]:
    """The orientation (1 to 8), and the EXIF data with orientation 1; None where there is nothing, or it is damaged."""
    try:
        if not exif:
            return 1, None
        orientation = exif.get(Base.Orientation, 1)
        if Base.Orientation in exif:
            exif[Base.Orientation] = 1
        content = exif.tobytes()
        return (orientation if orientation in range(1, 9) else 1), content
    except Exception:  # Pillow raises whatever the damage leads to: an image is not lost for it
        return 1, None


def upright_xmp(xmp: Any, notes: list[str]) -> bytes | None:
    """The packet with orientation 1, without what points to parts of the file that are not kept."""
    packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
    if not packet or not isinstance(packet, bytes):
        return None
    packet = packet.rstrip(b"\0")
    if b"\0" in packet:
        notes.append("XMP is no UTF-8 and was left out")
        return None
    for names, lost in _ELSEWHERE.items():
        packet, attributes = re.subn(rb"""\s(?:%s)\s*=\s*("[^"]*"|'[^']*')""" % names, b"", packet)
        packet, elements = _without_elements(packet, names)
        notes += [lost] if lost and attributes + elements else []
    return _state(packet, {b"Orientation": 1})


def resized(metadata: Metadata, width: int, height: int) -> Metadata:
    """With the sizes that EXIF and XMP state brought up to date. EXIF that cannot be is left out."""
    sizes = {b"ImageWidth": width, b"ImageLength": height, b"PixelXDimension": width, b"PixelYDimension": height}
    xmp = None if metadata.xmp is None else _state(metadata.xmp, sizes)
    try:
        return replace(metadata, xmp=xmp, exif=_resized_exif(metadata.exif, width, height))
    except Exception:  # as above
        return replace(metadata, xmp=xmp, exif=None)


def load_exif(exif: bytes) -> PIL.Image.Exif:
    """Parsed EXIF data."""
    parsed = PIL.Image.Exif()
    parsed.load(exif)
    return parsed


def usable_dpi(dpi: Any) -> tuple[float, float] | None:
    """Dots per inch as two numbers, where they are some."""
    try:
        across, down = map(float, dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < MOST_DPI and 0 < down < MOST_DPI else None


def orient(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Samples (H, W, ...) stored with this EXIF orientation, turned upright (a view).

    >>> orient(np.array([[1, 2, 3]]), 6)
    array([[1],
           [2],
           [3]])
    """
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _resized_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    if exif is None:
        return None
    parsed = load_exif(exif)
    detail = parsed.get_ifd(IFD.Exif)
    for directory, tags in (
        (parsed, (Base.ImageWidth, Base.ImageLength)),
        (detail, (Base.ExifImageWidth, Base.ExifImageHeight)),
    ):
        for tag, value in zip(tags, (width, height), strict=True):
            if tag in directory:
                directory[tag] = value
    return parsed.tobytes()


def _without_elements(packet: bytes, names: bytes) -> tuple[bytes, int]:
    """The packet without the elements of these names (a pattern) that are closed, and how many were taken out."""
    tags = list(re.finditer(rb"<(/?)(%s)\b[^<>]*>" % names, packet))
    closed_until = {tag[2]: tag.start() for tag in tags if tag[1]}
    kept, begin, count, inside = [], 0, 0, None
    for tag in tags:
        if inside is None and not tag[1] and closed_until.get(tag[2], -1) > tag.start():
            kept.append(packet[begin : tag.start()])
            inside = tag[2]
        elif tag[1] and tag[2] == inside:
            begin, inside, count = tag.end(), None, count + 1
    return b"".join([*kept, packet[begin:]]), count


def _state(packet: bytes, values: Mapping[bytes, int]) -> bytes:
    for name, value in values.items():
        packet = re.sub(_STATED % name, rb"\g<1>%d\g<2>" % value, packet)
    return packet


def _text(comment: Any) -> str:
    if not isinstance(comment, bytes):
        return str(comment)
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")
