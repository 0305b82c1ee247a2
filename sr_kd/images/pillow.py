"""JPEG, WebP, AVIF, GIF and BMP, by Pillow."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import PIL.Image
import PIL.ImageFile

from ..errors import SrKdError
from .color import cmyk_to_srgb, srgb_profile
from .image import Decoded
from .metadata import from_pillow

_GAIN_MAPS = {
    "JPEG": (b"hdrgm:Version", b"urn:iso:std:iso:ts:21496:-1", b"HDRGainMap"),
    "AVIF": (b"tmap",),
}
_WHERE = {"AVIF": 4096}  # a short sign, sought among the first bytes
_CODE_POINTS = b"colrnclx"  # of AVIF: primaries, transfer and matrix of 16 bits each
_UNSPECIFIED = 2
# Of JPEG: the marker before the pixels, the most bytes of its segment, the markers of applications and comments.
_SCAN, _SCAN_HEADER, _SAID = b"\xda", 64, {*range(0xE0, 0xF0), 0xFE}


def read_by_pillow(data: bytes, kind: str) -> Decoded:
    """Decode a file of this format; no other is tried.

    Raises:
        SrKdError: an animation. Pillow's errors: a damaged file.
    """
    lost = []
    try:
        opened = PIL.Image.open(io.BytesIO(data), formats=[kind])
    except Exception:  # Pillow raises whatever the damage leads to
        if kind != "JPEG":
            raise
        opened = PIL.Image.open(io.BytesIO(_without_damage(data)), formats=[kind])
        lost = ["a part of the metadata is damaged and was left out"]
    with opened:
        if several := count_frames(opened):
            raise SrKdError(several)
        opened.load()
        orientation, metadata, notes = from_pillow(opened)
        notes += lost
        if opened.mode == "CMYK":
            notes.append("CMYK was converted to sRGB")
        flat, icc = flatten(opened, metadata.icc)
    if kind in ("BMP", "GIF"):
        icc = _bmp_profile(data, notes) if kind == "BMP" else _gif_profile(data)
    metadata = replace(metadata, icc=icc)
    if any(sign in data[: _WHERE.get(kind)] for sign in _GAIN_MAPS.get(kind, ())):
        notes.append("the gain map for HDR displays was left out")
    if kind == "AVIF":
        metadata = replace(metadata, png_color=_code_points(data))
        if _deeper_than_eight(data):
            notes.append("more than 8 bits were read as 8")
    return Decoded(*split(flat), orientation, metadata, notes)


def _without_damage(jpeg: bytes) -> bytes:
    """The file without those application segments and comments that Pillow cannot read."""
    parts, position = list[bytes](), 2
    while (position := jpeg.find(b"\xff", position)) >= 0 and jpeg[position + 1 : position + 2] != _SCAN:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        parts.append(jpeg[position:end])
        position = end
    start, rest = jpeg[:2], jpeg[position:]
    structure = b"".join(part for part in parts if part[1] not in _SAID)

    def is_read(part: bytes) -> bool:
        try:
            PIL.Image.open(io.BytesIO(start + part + structure + rest[:_SCAN_HEADER]), formats=["JPEG"]).close()
        except Exception:  # Pillow raises whatever the damage leads to
            return False
        return True

    return start + b"".join(part for part in parts if part[1] not in _SAID or is_read(part)) + rest


def split(flat: PIL.Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 1 or 3) and transparency (H, W) of an image that `flatten` made."""
    samples = np.asarray(flat)
    samples = samples if samples.ndim == 3 else samples[..., None]
    return (samples, None) if samples.shape[2] in (1, 3) else (samples[..., :-1], samples[..., -1])


def flatten(opened: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, bytes | None]:
    """Any 8-bit image as L, LA, RGB or RGBA, and the profile that now describes it.

    Raises:
        SrKdError: 32-bit or floating-point samples.
    """
    if opened.mode == "CMYK":
        return cmyk_to_srgb(opened, icc), srgb_profile()
    if opened.mode in ("I", "F") or opened.mode.startswith("I;"):
        raise SrKdError("32-bit and floating-point samples are not supported; save it with 8 or 16 bits")
    transparent = opened.has_transparency_data
    gray = opened.mode in ("1", "L", "LA", "La")
    target = ("LA" if transparent else "L") if gray else ("RGBA" if transparent else "RGB")
    return (opened if opened.mode == target else opened.convert(target)), icc


def count_frames(opened: PIL.Image.Image) -> str | None:
    """What to say of an animation or of several pages; None for a single image."""
    if opened.format == "MPO":  # phones store a preview behind the photograph
        return None
    try:
        frames = getattr(opened, "n_frames", 1)
    except ValueError:  # the file is closed, and no longer tells
        return None
    what = "pages; split them into files" if opened.format == "TIFF" else "frames; animations are not supported"
    return f"this {opened.format} has {frames} {what}" if frames > 1 else None


def _bmp_profile(data: bytes, notes: list[str]) -> bytes | None:
    """The color profile that a BMP file of version 5 holds; Pillow does not read it."""
    version, said = data[14:18], data[70:74]
    if version == b"\x7c\0\0\0" and said == b"DEBM":
        offset, size = struct.unpack_from("<II", data, 126)
        return data[14 + offset : 14 + offset + size] or None
    linked = version == b"\x7c\0\0\0" and said == b"KNIL"
    if linked or (version in (b"\x6c\0\0\0", b"\x7c\0\0\0") and said == bytes(4) and any(data[74:122])):
        notes.append(f"the {'name of a color profile' if linked else 'calibration of its colors'} was left out")
    return None


def _gif_profile(data: bytes) -> bytes | None:
    """The color profile that a GIF file holds, in blocks of up to 255 bytes; Pillow does not read it."""
    rest, profile = data.partition(b"!\xff\x0bICCRGBG1012")[2], b""
    while rest and rest[0]:
        profile, rest = profile + rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    return profile or None


def _code_points(data: bytes) -> dict[bytes, bytes]:
    """What an AVIF file says of its colors, as PNG's cICP; nothing where it says nothing."""
    after = data.partition(_CODE_POINTS)[2][:7]
    if len(after) < 7 or (after[1] == _UNSPECIFIED and after[3] == _UNSPECIFIED):
        return {}
    return {b"cICP": bytes([after[1], after[3], 0, 1])}  # RGB of full range, as decoded


def _deeper_than_eight(data: bytes) -> bool:
    """Whether AVIF's configuration of the codec has the bit for more than 8."""
    after = data.partition(b"av1C")[2][:4]
    return len(after) == 4 and bool(after[2] & 0x40)
