"""Writing image files atomically, with all the metadata that their format holds."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image

from ..errors import SrKdError
from ..files import atomic_path
from .color import beyond_srgb, fitting_profile, is_gray, is_srgb, to_srgb
from .formats import OPAQUE, check_holds, output_format
from .image import Image, Metadata, to_eight_bits
from .metadata import resized

_DEFAULT_QUALITY = {"JPEG": 95, "AVIF": 90}
_PROFILE = "color profile"
_MOST_TEXT = 2**24  # characters in all; Pillow opens no PNG with much more
_IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0"


def write_image(path: Path | str, image: Image, *, quality: int | None = None) -> list[str]:
    """Write an image file atomically, with its metadata; the suffix of `path` says the format.

    PNG and TIFF keep every kind of image exactly; WebP is lossless unless a quality is given; BMP, JPEG, WebP and
    AVIF hold 8 bits.

    Args:
        path: where to; its folder is made if needed.
        image: what to write.
        quality: 1 to 100 for JPEG, WebP and AVIF (default 95, lossless, 90).

    Returns:
        What of the metadata was left out, in words.

    Raises:
        UsageError: a suffix that cannot be written.
        SrKdError: the format cannot hold the image, or the file cannot be written.
    """
    path = Path(path)
    kind = output_format(path.suffix)
    check_holds(path, image, image.width, image.height)
    try:
        with atomic_path(path) as temporary, temporary.open("w+b") as file:
            return encode_image(file, image, kind, quality)
    except MemoryError:
        raise SrKdError(f"cannot write {path}: not enough memory") from None
    except SrKdError:
        raise
    except Exception as error:  # an encoder may raise anything
        raise SrKdError(f"cannot write {path}: {' '.join(str(error).split())}") from None


def encode_image(file: BinaryIO, image: Image, kind: str, quality: int | None = None) -> list[str]:
    """Write an image to an empty binary file, seekable, open for reading and writing.

    PNG and TIFF are written in stripes, so that neither the file nor a copy of the image is ever in memory.

    Returns:
        What was left out, in words.
    """
    metadata = resized(image.metadata, image.width, image.height)
    metadata = replace(metadata, icc=fitting_profile(metadata.icc, image.channels))
    said = beyond_srgb(metadata.png_color)  # beside a profile: else the image was refused
    unsaid = [f"the statement that its colors are {said}"] if said and kind != "PNG" else []
    if kind == "TIFF":
        from .tiff_writer import write_tiff

        lost = unsaid + (["text"] if metadata.text else []) + write_tiff(file, image, metadata)
        return _notes(image.metadata, metadata, lost, kind)
    pieces = {name: _kept(kind, options) for name, options in _pieces(kind, metadata, image.samples).items()}
    lost = unsaid + [name for name, kept in pieces.items() if kept is None]
    if _PROFILE in lost and metadata.icc and not is_srgb(metadata.icc):
        image = replace(image, pixels=to_srgb(image.pixels, metadata.icc))
        lost[lost.index(_PROFILE)] = f"{_PROFILE} (colors were converted to sRGB)"
    if kind == "PNG":
        from .png import write_png

        write_png(file, image, b"".join(kept for kept in pieces.values() if kept))
    else:
        options = _quality_options(kind, quality, image.samples)
        for kept in pieces.values():
            options |= kept or {}
        _write_by_pillow(file, image, kind, options)
    return _notes(image.metadata, metadata, lost, kind)


def _pieces(kind: str, metadata: Metadata, samples: int) -> dict[str, dict[str, Any] | None]:
    """What there is to say beside the pixels, by name: Pillow's options for it, or None where the format has no place.

    WebP and AVIF have a place for dots per inch in EXIF alone, where they already are.
    """
    modern, profile = kind in ("PNG", "JPEG", "WEBP", "AVIF"), metadata.icc
    pieces: dict[str, dict[str, Any] | None] = {}
    if profile:
        becomes_rgb = kind == "WEBP" or (kind == "AVIF" and samples == 2)  # gray, as Pillow writes it
        held = modern and not (becomes_rgb and is_gray(profile))
        pieces[_PROFILE] = {"icc_profile": profile} if held else None
    if metadata.exif:
        pieces["EXIF"] = {"exif": metadata.exif} if modern else None
    if metadata.xmp:
        packet = metadata.xmp.decode("utf-8", "replace")
        xmp: dict[str, Any] = {"text": ("XML:com.adobe.xmp", packet)} if kind == "PNG" else {"xmp": metadata.xmp}
        pieces["XMP"] = xmp if modern else None
    if metadata.iptc:
        segment = _iptc_segment(metadata.iptc) if kind == "JPEG" else None
        pieces["IPTC"] = {"extra": segment} if segment else None
    if metadata.dpi and kind in ("PNG", "JPEG", "BMP"):
        pieces["dots per inch"] = {"dpi": metadata.dpi}
    room = _MOST_TEXT
    for key, value in metadata.text.items():
        if kind == "PNG":
            room -= len(value)
            pieces[f"text '{key}'"] = {"text": (key, value)} if room > 0 else None
        else:
            pieces[f"text '{key}'"] = {"comment": value} if (kind, key) == ("JPEG", "Comment") else None
    for name, content in metadata.png_color.items():
        if kind == "PNG" and not (profile and name == b"sRGB"):  # the profile counts
            pieces[name.decode("latin-1")] = {"raw": (name, content)}
    return pieces


def _iptc_segment(iptc: bytes) -> bytes | None:
    """The marker segment of JPEG that holds it, as Photoshop defined; None where it is too long."""
    content = _IPTC + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    length = len(content) + 2
    return b"\xff\xed" + struct.pack(">H", length) + content if length < 2**16 else None


def _kept(kind: str, options: dict[str, Any] | None) -> Any:
    """What can be written so that it can be read again: for PNG its chunks, for other formats the options; or None.

    An image of one pixel tells. So no piece, of whatever size or wrongness, costs the image.
    """
    if options is None:
        return None
    try:
        if kind == "PNG":
            from .png import pack

            return pack(**options)
        buffer = io.BytesIO()
        PIL.Image.new("RGB", (1, 1)).save(buffer, kind, **options)
        with PIL.Image.open(buffer, formats=[kind]) as again:
            again.load()
            again.getexif()
    except Exception:  # Pillow raises whatever comes up
        return None
    return options


def _write_by_pillow(file: BinaryIO, image: Image, kind: str, options: dict[str, Any]) -> None:
    samples = _eight_bits(replace(image, alpha=None) if kind in OPAQUE else image)
    picture = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    del samples  # Pillow has its own copy
    buffer = io.BytesIO()  # straight to the file, Pillow would not say that the disk is full
    picture.save(buffer, format=kind, **options)
    file.write(buffer.getbuffer())


def _eight_bits(image: Image) -> np.ndarray:
    """(H, W, C) uint8, transparency as the last channel."""
    if image.bit_depth == 8 and image.alpha is None:
        return image.pixels
    result = np.empty((image.height, image.width, image.samples), np.uint8)
    top = 0
    for stripe in image.stripes():
        result[top : top + len(stripe)] = to_eight_bits(stripe)
        top += len(stripe)
    return result


def _quality_options(kind: str, quality: int | None, samples: int) -> dict[str, Any]:
    if kind == "WEBP":
        return {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    if kind in _DEFAULT_QUALITY:
        sampling = "4:0:0" if kind == "AVIF" and samples == 1 else "4:4:4"
        return {"quality": _DEFAULT_QUALITY[kind] if quality is None else quality, "subsampling": sampling}
    return {}


def _notes(given: Metadata, held: Metadata, lost: list[str], kind: str) -> list[str]:
    lost = [
        *lost,
        *([_PROFILE] if given.icc and not held.icc else []),
        *(["EXIF"] if given.exif and not held.exif else []),
    ]
    return [f"left out of the {kind} file: {name}" for name in dict.fromkeys(lost)]
