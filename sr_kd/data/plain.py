"""Every 8-bit mode of Pillow as gray or RGB, and which color profile then describes the pixels."""

from __future__ import annotations

import contextlib
import io
import struct
from functools import cache

import PIL.Image
import PIL.ImageCms

from ..errors import SrKdError

COLOR_SPACES = {1: (b"GRAY", b"RGB "), 3: (b"RGB ",)}  # of profiles, by number of colors
_MADE = slice(24, 36)  # where a profile says when it was made: six numbers of 16 bits


def plain(opened: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, bytes | None]:
    """An 8-bit image as L, LA, RGB or RGBA, and the profile that now describes it.

    Raises:
        SrKdError: 32-bit or floating-point samples.
    """
    if opened.mode == "CMYK":
        return _cmyk_to_rgb(opened, icc), srgb_profile()
    if opened.mode in ("I", "F") or opened.mode.startswith("I;"):
        raise SrKdError("32-bit and floating-point samples are not supported; save it with 8 or 16 bits")
    transparent = opened.has_transparency_data
    gray = opened.mode in ("1", "L", "LA", "La")
    target = ("LA" if transparent else "L") if gray else ("RGBA" if transparent else "RGB")
    return (opened if opened.mode == target else opened.convert(target)), icc


def fitting_profile(icc: bytes | None, colors: int) -> bytes | None:
    """The profile where it belongs to pixels of 1 (gray) or 3 (RGB) colors; None for one of Lab or CMYK, say."""
    return icc if icc is not None and icc[16:20] in COLOR_SPACES[colors] else None


@cache
def srgb_profile() -> bytes:
    """sRGB, the same at any time: what is made from one image twice shall be equal."""
    profile = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes())
    profile[_MADE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def _cmyk_to_rgb(opened: PIL.Image.Image, icc: bytes | None) -> PIL.Image.Image:
    """Through the embedded profile, to sRGB; plainly where there is none that can be used."""
    if icc is not None:
        # A broken profile, or one of another color space, counts as none.
        with contextlib.suppress(PIL.ImageCms.PyCMSError):
            srgb = io.BytesIO(srgb_profile())
            if converted := PIL.ImageCms.profileToProfile(opened, io.BytesIO(icc), srgb, outputMode="RGB"):
                return converted
    return opened.convert("RGB")
