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


def read_by_pillow(data: bytes, kind: str) -> Decoded:
    """Decode a file of this format; no other is tried.

    Raises:
        SrKdError: an animation. Pillow's errors: a damaged file.
    """
    formats = ["JPEG", "MPO"] if kind == "JPEG" else [kind]
    with PIL.Image.open(io.BytesIO(data), formats=formats) as opened:
        if several := count_frames(opened):
            raise SrKdError(several)
        opened.load()
        orientation, metadata, notes = from_pillow(opened)
        if opened.mode == "CMYK":
            notes.append("CMYK was converted to sRGB")
        flat, icc = flatten(opened, metadata.icc)
    metadata = replace(metadata, icc=_bmp_profile(data) if kind == "BMP" else icc)
    if any(sign in data[: _WHERE.get(kind)] for sign in _GAIN_MAPS.get(kind, ())):
        notes.append("the gain map for HDR displays was left out")
    if kind == "AVIF":
        metadata = replace(metadata, png_color=_code_points(data))
        if _deeper_than_eight(data):
            notes.append("more than 8 bits were read as 8")
    return Decoded(*split(flat), orientation, metadata, notes)


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


def _bmp_profile(data: bytes) -> bytes | None:
    """The color profile that a BMP file of version 5 holds; Pillow does not read it."""
    if data[14:18] != b"\x7c\0\0\0" or data[70:74] != b"DEBM":
        return None
    offset, size = struct.unpack_from("<II", data, 126)
    return data[14 + offset : 14 + offset + size] or None


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
