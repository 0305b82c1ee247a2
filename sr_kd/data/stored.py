"""An image that can be read: a file, a value of a data base, or what stands for an HR image that is not there."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class MissingHR:
    """Stands for the HR image of an LR image that has none, until a teacher's takes its place: every pixel repeated."""

    lr: StoredImage
    scale: int

    @property
    def name(self) -> str:
        return self.lr.name

    def header(self) -> Header:
        header = self.lr.header()
        return replace(header, width=header.width * self.scale, height=header.height * self.scale)

    def read(self) -> Image:
        image = self.lr.read()
        return replace(image, pixels=image.pixels.repeat(self.scale, axis=0).repeat(self.scale, axis=1))

    def __str__(self) -> str:
        return f"{self.lr}, x{self.scale}"
