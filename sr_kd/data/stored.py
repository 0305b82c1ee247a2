"""An image that can be read: a file, or a value of a data base."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..images import Header, Image, read_header, read_image


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
        return unicodedata.normalize("NFC", self.path.stem)  # some systems write accents as marks of their own

    def header(self) -> Header:
        return read_header(self.path)

    def read(self) -> Image:
        return read_image(self.path)

    def __str__(self) -> str:
        return str(self.path)
