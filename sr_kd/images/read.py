"""Reading image files: every format by its content, upright, with its depth and metadata."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from ..errors import SrKdError
from .color import is_gray
from .formats import format_of
from .image import Image
from .metadata import orient
from .pillow import read_by_pillow

SPECIAL = "it is a pipe, socket or device; copy it to a file first"
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_HEAD = 4096  # bytes that tell the format, and whether the file is whole
_CREDENTIALS = b"jumdc2pa\0\x11\0\x10\x80\0\0\xaa\x008\x9bq"  # a box of that type, in any format
_ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded.

    Attributes:
        height, width: upright, as decoded.
        channels: 1 (gray) or 3, without alpha.
        bit_depth: 8 or 16.
        alpha: whether there is transparency.
    """

    height: int
    width: int
    channels: int
    bit_depth: int = 8
    alpha: bool = False


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
        link = f" (it is a symbolic link to {Path(path).readlink()})" if Path(path).is_symlink() else ""
        raise SrKdError(f"cannot read {path}: {error.strerror or error}{link}") from None
    return decode_image(data, str(path))


def is_special(path: Path) -> bool:
    """Whether it is neither a file nor a folder; reading from it might wait for ever."""
    return path.exists() and not path.is_file() and not path.is_dir()


def decode_image(data: bytes, name: str) -> Image:
    """As `read_image`, from memory. `name` is what errors call the image."""
    if not data:
        raise SrKdError(f"cannot read {name}: the file is empty")
    try:
        return _decode(data)
    except PIL.UnidentifiedImageError:
        raise SrKdError(f"cannot read {name}: damaged or unsupported") from None
    except PIL.Image.DecompressionBombError:
        most = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise SrKdError(
            f"cannot read {name}: it has more than {most:.0f} megapixels, the limit "
            "(in Python, PIL.Image.MAX_IMAGE_PIXELS is half of it); cut it into parts"
        ) from None
    except SrKdError as error:
        raise SrKdError(f"cannot read {name}: {error}") from None
    except MemoryError:
        raise SrKdError(f"cannot read {name}: not enough memory") from None
    except Exception as error:  # a decoder fed damaged data may raise anything
        raise SrKdError(f"cannot read {name}: damaged or unsupported ({' '.join(str(error).split())})") from None


def read_header(path: Path) -> Header:
    """Size and channels of an image file, without decoding where that can be: not where it may be cut short.

    Raises:
        SrKdError: as `read_image`.
    """
    try:
        with path.open("rb") as file:
            kind = format_of(file.read(_HEAD))
            _require_end(file, kind)
            file.seek(0)
            if kind == "TIFF":
                from .tiff import tiff_header

                return Header(*tiff_header(file))
            return _header(file, kind)
    except Exception:  # whatever the damage leads to
        pass  # read_image explains
    image = read_image(path)
    return Header(image.height, image.width, image.channels, image.bit_depth, image.alpha is not None)


def _require_end(file: io.BufferedReader, kind: str) -> None:
    """Refuse a file that seems cut short: by what its format ends with (or much follows), or by the size it states."""
    file.seek(0)
    head, size = file.read(8), file.seek(0, io.SEEK_END)
    stated = {"WEBP": head[4:8], "BMP": head[2:6]}.get(kind, b"")
    file.seek(-min(_HEAD, size), io.SEEK_END)
    if int.from_bytes(stated, "little") > size or _ENDS.get(kind, b"") not in file.read():
        raise EOFError


def _header(file: io.BufferedReader, kind: str) -> Header:
    with PIL.Image.open(file, formats=[kind]) as opened:
        # The base class's getexif: PNG's own decodes the whole image to look for late chunks.
        sideways = PIL.Image.Image.getexif(opened).get(_ORIENTATION) in _SIDEWAYS
        width, height = reversed(opened.size) if sideways else opened.size
        alpha = opened.mode in _ALPHA_MODES or "transparency" in opened.info
        stored = str(opened.tile[0].args) if kind == "PNG" else ""  # Pillow opens 16-bit gray and alpha as RGBA
        gray = opened.mode in _GRAY_MODES or "LA" in stored
        return Header(height, width, 1 if gray else 3, 16 if "16" in stored else 8, alpha)


def _decode(data: bytes) -> Image:
    kind = format_of(data)
    if kind == "PNG":
        from .png import read_png

        found = read_png(data)
    elif kind == "TIFF":
        from .tiff import read_tiff

        found = read_tiff(data)
    else:
        found = read_by_pillow(data, kind)
    pixels = found.pixels
    if is_gray(found.metadata.icc) and pixels.shape[2] == 3 and not np.ptp(pixels, axis=2).any():
        pixels = pixels[..., :1]  # a format without gray: WebP
    pixels = np.ascontiguousarray(orient(pixels, found.orientation))
    alpha = None if found.alpha is None else np.ascontiguousarray(orient(found.alpha, found.orientation))
    signed = ["the content credentials (C2PA) were left out"] if _CREDENTIALS in data else []
    return Image(pixels, alpha, found.metadata, tuple(dict.fromkeys([*found.notes, *signed])))
