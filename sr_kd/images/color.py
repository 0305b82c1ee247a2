"""What colors mean: profiles, code points, and sRGB where a file cannot say anything else."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Mapping
from functools import cache

import numpy as np
import PIL.Image
import PIL.ImageCms

COLOR_SPACES = {1: (b"GRAY", b"RGB "), 3: (b"RGB ",)}  # of profiles, by number of colors
_MADE = slice(24, 36)  # where a profile says when it was made: six numbers of 16 bits
# Code points of ITU-T H.273. Those of standard television count as sRGB: unspecified, BT.709, BT.601, gamma 2.2.
_USUAL_PRIMARIES, _USUAL_TRANSFERS = (1, 2, 5, 6), (1, 2, 4, 6, 13, 14, 15)
_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_TRANSFERS = {8: "linear light", 16: "HDR (PQ)", 18: "HDR (HLG)"}
_SRGB_CHROMATICITIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_SRGB_GAMMA = 45_455
_NEAR = 0.03  # of these numbers
_UNSEEN = 3  # of 255 levels


def beyond_srgb(png_color: Mapping[bytes, bytes]) -> str | None:
    """What PNG's statements about color say, in words, where it is something else than sRGB; None where it is that.

    Source: Portable Network Graphics (Third Edition), section 13.14: cICP counts before sRGB, sRGB before gAMA and
    cHRM. https://www.w3.org/TR/png-3/

    >>> beyond_srgb({b"cICP": bytes([9, 16, 0, 1])})
    'BT.2020, HDR (PQ)'
    """
    if b"cICP" in png_color:
        content = png_color[b"cICP"]
        primaries, transfer = (*content, 2, 2)[:2]
        said = [
            *([] if primaries in _USUAL_PRIMARIES else [_PRIMARIES.get(primaries, f"primaries {primaries}")]),
            *([] if transfer in _USUAL_TRANSFERS else [_TRANSFERS.get(transfer, f"transfer {transfer}")]),
            *(["of narrow range"] if content[3:4] == b"\0" else []),
        ]
        return ", ".join(said) or None
    if b"sRGB" in png_color:
        return None
    primaries_differ = _differ(png_color.get(b"cHRM"), _SRGB_CHROMATICITIES)
    gamma_differs = _differ(png_color.get(b"gAMA"), (_SRGB_GAMMA,))
    said = ["of other primaries (cHRM)"] * primaries_differ + ["of another gamma (gAMA)"] * gamma_differs
    return ", ".join(said) or None


def fitting_profile(icc: bytes | None, colors: int) -> bytes | None:
    """The profile where it belongs to pixels of 1 (gray) or 3 (RGB) colors; None for one of Lab or CMYK, say."""
    return icc if icc is not None and icc[16:20] in COLOR_SPACES[colors] else None


@cache
def srgb_profile() -> bytes:
    """sRGB, the same at any time: what is made from one image twice shall be equal."""
    profile = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes())
    profile[_MADE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def is_srgb(icc: bytes) -> bool:
    """Whether a profile's colors are those of sRGB, whatever its name: found by converting some."""
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    if is_gray(icc):
        cube = levels.reshape(1, -1, 1)
    return int(np.abs(to_srgb(cube, icc).astype(int) - cube).max()) <= _UNSEEN


def is_gray(icc: bytes | None) -> bool:
    """Whether a profile is one of gray."""
    return icc is not None and icc[16:20] == b"GRAY"


def to_srgb(pixels: np.ndarray, icc: bytes) -> np.ndarray:
    """Pixels (H, W, 1 or 3) of the profile's colors as sRGB, as many and of the same depth; as they are if it fails."""
    from .vips import fetch, vips, wrap

    channels = pixels.shape[2]
    image = wrap(pixels if is_gray(icc) else np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    image.set_type(vips().GValue.blob_type, "icc-profile-data", icc)
    try:
        converted = image.icc_transform("srgb", embedded=True, depth=8 * pixels.itemsize)
        return fetch(converted, 3, None)[0][..., :channels]
    except vips().Error:
        return pixels


def cmyk_to_srgb(opened: PIL.Image.Image, icc: bytes | None) -> PIL.Image.Image:
    """Through the embedded profile; plainly where there is none that can be used."""
    if icc is not None:
        # A broken profile, or one of another color space, counts as none.
        with contextlib.suppress(PIL.ImageCms.PyCMSError, OSError):
            srgb = io.BytesIO(srgb_profile())
            if converted := PIL.ImageCms.profileToProfile(opened, io.BytesIO(icc), srgb, outputMode="RGB"):
                return converted
    return opened.convert("RGB")


def _differ(content: bytes | None, usual: tuple[int, ...]) -> bool:
    if content is None or len(content) != 4 * len(usual):
        return False
    return not np.allclose(struct.unpack(f">{len(usual)}I", content), usual, rtol=_NEAR)
