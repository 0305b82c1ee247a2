"""Image files: pixels, transparency, bit depth and metadata, read once and written atomically."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageFile
from PIL.PngImagePlugin import PngInfo

from ..errors import SrKdError, UsageError
from ..files import atomic_path
from .exif import orient, read_exif, resize_exif
from .image16 import decode_deep, deep_format
from .png import encode_png
from .tiff import encode_tiff

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
SUFFIXES = frozenset({*FORMATS, ".gif"})
LONGEST_SIDE = {"WEBP": 16_383, "JPEG": 65_500, "AVIF": 65_536}
SPECIAL = "it is a pipe, socket or device; copy it to a file first"
DEFAULT_QUALITY = {"JPEG": 95, "AVIF": 90}


@dataclass(frozen=True)
class Metadata:
    """What a file says about its picture: colour profile, EXIF (upright), dots per inch, PNG text."""

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """One decoded picture.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, C = 1 (grey) or 3 (RGB).
        alpha: (H, W) of the same type, straight (colours are not multiplied by it), or None.
        metadata: what the file says about the picture.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = Metadata()

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB), alpha not counted."""
        return int(self.pixels.shape[2])

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Of pixels and transparency."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return 2**self.bit_depth - 1


def read_image(path: Path | str) -> Image:
    """Read an image file: upright, palette and transparency expanded, CMYK converted, depth kept.

    Raises:
        SrKdError: no such file, not an image, damaged, animated, or of an unsupported kind.
    """
    try:
        if is_special(Path(path)):
            raise SrKdError(f"cannot read {path}: {SPECIAL}")
        data = Path(path).read_bytes()
    except OSError as error:
        raise SrKdError(f"cannot read {path}: {error.strerror or error}") from None
    return decode_image(data, str(path))


def is_special(path: Path) -> bool:
    """Whether it is neither a file nor a folder; reading from it might wait for ever."""
    return path.exists() and not path.is_file() and not path.is_dir()


def decode_image(data: bytes, name: str) -> Image:
    """As `read_image`, from memory. `name` is what errors call the picture."""
    if not data:
        raise SrKdError(f"cannot read {name}: the file is empty")
    try:
        with PIL.Image.open(io.BytesIO(data)) as opened:
            return _decode(opened, data)
    except PIL.UnidentifiedImageError:
        raise SrKdError(
            f"cannot read {name}: the content is no image of a known format ({', '.join(sorted(SUFFIXES))})"
        ) from None
    except SrKdError as error:
        raise SrKdError(f"cannot read {name}: {error}") from None
    except MemoryError:
        raise SrKdError(f"cannot read {name}: not enough memory") from None
    except Exception as error:  # a decoder fed damaged data may raise anything
        raise SrKdError(f"cannot read {name}: damaged or unsupported ({error})") from None


def write_image(path: Path | str, image: Image, *, quality: int | None = None) -> None:
    """Write an image file atomically, with its metadata; the suffix of `path` says the format.

    PNG and TIFF keep every kind of picture exactly; WebP is lossless unless a quality is given; BMP,
    JPEG, WebP and AVIF hold 8 bits.

    Args:
        path: where to; its folder is made if needed.
        image: what to write.
        quality: 1 to 100 for JPEG, WebP and AVIF (default 95, lossless, 90).

    Raises:
        UsageError: a suffix that cannot be written.
        SrKdError: the format cannot hold the picture, or the file cannot be written.
    """
    path = Path(path)
    kind = output_format(path.suffix)
    check_holds(path, image.width, image.height, transparent=image.alpha is not None)
    data = _encode(image, kind, quality, str(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def output_format(suffix: str) -> str:
    """The format that a suffix stands for. Raises UsageError for one that cannot be written."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write '{suffix}' files; use one of {', '.join(sorted(FORMATS))}")
    return FORMATS[suffix.lower()]


def check_holds(path: Path | str, width: int, height: int, *, transparent: bool) -> None:
    """Refuse, with an SrKdError, a picture that the format of `path` cannot hold."""
    kind = output_format(Path(path).suffix)
    if transparent and kind in ("JPEG", "BMP"):
        raise SrKdError(f"cannot write {path}: {kind} has no transparency; use .png, .webp, .tiff or .avif")
    longest = LONGEST_SIDE.get(kind, max(width, height))
    if max(width, height) > longest:
        raise SrKdError(
            f"cannot write {path}: {width}x{height} pixels, {kind} holds at most {longest} a side; use .png"
        )


def _decode(opened: PIL.ImageFile.ImageFile, data: bytes) -> Image:
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # phones store a preview behind the photograph
        what = "pages; split them into files" if opened.format == "TIFF" else "frames; animations are not supported"
        raise SrKdError(f"this {opened.format} has {frames} {what}")
    deep = deep_format(opened)
    opened.load()
    rotation, exif = read_exif(opened)
    metadata = _metadata(opened, exif)
    if deep:
        samples = decode_deep(data, grey=deep == "grey")
    else:
        flat, icc = _plain(opened, metadata.icc)
        metadata = Metadata(icc, metadata.exif, metadata.dpi, metadata.text)
        samples = np.asarray(flat)
    if opened.format != "TIFF":  # Pillow and OpenCV turn TIFF upright themselves, and nothing else
        samples = orient(samples, rotation)
    samples = np.ascontiguousarray(samples if samples.ndim == 3 else samples[..., None])
    if samples.shape[2] in (1, 3):
        return Image(samples, None, metadata)
    return Image(np.ascontiguousarray(samples[..., :-1]), np.ascontiguousarray(samples[..., -1]), metadata)


def _metadata(opened: PIL.Image.Image, exif: bytes | None) -> Metadata:
    dpi = opened.info.get("dpi")
    text = {
        str(key): str(value)
        for key, value in getattr(opened, "text", {}).items()
        if not str(key).startswith("Raw profile type")  # EXIF and ICC in disguise, kept as such
    }
    usable = dpi is not None and all(0 < float(value) < 1e6 for value in dpi)
    return Metadata(
        icc=opened.info.get("icc_profile") or None,
        exif=exif,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi is not None and usable else None,
        text=text,
    )


def _plain(opened: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, bytes | None]:
    """An 8-bit image as L, LA, RGB or RGBA, and the profile that now describes it."""
    if opened.mode == "CMYK":
        return _cmyk_to_rgb(opened, icc)
    if opened.mode in ("I", "F") or opened.mode.startswith("I;"):
        raise SrKdError("32-bit and floating-point samples are not supported; save it with 8 or 16 bits")
    transparent = "transparency" in opened.info or opened.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    grey = opened.mode in ("1", "L", "LA", "La")
    target = ("LA" if transparent else "L") if grey else ("RGBA" if transparent else "RGB")
    return (opened if opened.mode == target else opened.convert(target)), icc


def _cmyk_to_rgb(opened: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, bytes | None]:
    """Through the embedded profile where there is one; the result is then sRGB."""
    if icc is None:
        return opened.convert("RGB"), None
    srgb = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))
    try:
        converted = PIL.ImageCms.profileToProfile(opened, io.BytesIO(icc), srgb, outputMode="RGB")
    except PIL.ImageCms.PyCMSError:  # a broken profile: as if there were none
        return opened.convert("RGB"), None
    return (converted or opened.convert("RGB")), srgb.tobytes()


def _encode(image: Image, kind: str, quality: int | None, name: str) -> bytes:
    metadata = image.metadata
    exif = resize_exif(metadata.exif, image.width, image.height)
    parts = [image.pixels] if image.alpha is None else [image.pixels, image.alpha[..., None]]
    samples = np.concatenate(parts, axis=2) if len(parts) > 1 else image.pixels
    if kind == "TIFF":
        return encode_tiff(samples, metadata.icc, exif, metadata.dpi)
    options = _save_options(kind, metadata, exif, quality)
    if image.bit_depth == 16 and kind != "PNG":
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    buffer = io.BytesIO()
    try:
        if kind == "PNG":
            return encode_png(np.ascontiguousarray(samples), options)
        picture = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        picture.save(buffer, format=kind, **options)
    except (OSError, ValueError, KeyError) as error:
        raise SrKdError(f"cannot write {name}: {error}") from None
    return buffer.getvalue()


def _save_options(kind: str, metadata: Metadata, exif: bytes | None, quality: int | None) -> dict[str, Any]:
    """Pillow's arguments for this format."""
    options: dict[str, Any] = {}
    if metadata.dpi and kind in ("PNG", "JPEG", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.icc and kind != "BMP":
        options["icc_profile"] = metadata.icc
    if exif and kind != "BMP":
        options["exif"] = exif
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        for key, value in metadata.text.items():
            options["pnginfo"].add_text(key, value)
    elif kind == "WEBP":
        options |= {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    elif kind in DEFAULT_QUALITY:
        options |= {"quality": DEFAULT_QUALITY[kind] if quality is None else quality, "subsampling": "4:4:4"}
    return options
