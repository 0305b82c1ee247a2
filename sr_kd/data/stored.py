"""An image that can be read: a file, or a value of a data base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import PIL.Image

from .image import Image, read_image
from .image16 import deep_format

_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112
_SIDEWAYS = 5  # EXIF orientations from here on inputs width and height


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


class StoredImage(Protocol):
    """An image that can be read: a file, or a value of a data base. ``str()`` says where it is."""

    @property
    def name(self) -> str:
        """The file name without its suffix."""

    def header(self) -> Header:
        """Size and channels, without decoding where the format allows. Raises SrKdError."""

    def read(self) -> Image:
        """Decode it. Raises SrKdError naming the image."""


@dataclass(frozen=True)
class ImageFile:
    """An image file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def header(self) -> Header:
        try:
            with PIL.Image.open(self.path) as file:
                # The base class's getexif: PNG's own decodes the whole image to look for late chunks.
                sideways = PIL.Image.Image.getexif(file).get(_ORIENTATION, 1) >= _SIDEWAYS
                # Pillow's versions differ in whether a TIFF file's size is turned before it is decoded.
                if not (sideways and file.format == "TIFF"):
                    width, height = reversed(file.size) if sideways else file.size
                    alpha = file.mode in _ALPHA_MODES or "transparency" in file.info
                    depth = 16 if deep_format(file) else 8
                    return Header(height, width, 1 if file.mode in _GRAY_MODES else 3, depth, alpha)
        except Exception:  # Pillow raises anything for damaged data
            pass  # read_image explains
        image = self.read()
        return Header(image.height, image.width, image.channels, image.bit_depth, image.alpha is not None)

    def read(self) -> Image:
        return read_image(self.path)

    def __str__(self) -> str:
        return str(self.path)
