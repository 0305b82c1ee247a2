"""Images in folders: which files count, in what order, and what to say when they are not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import PIL
import PIL.Image

from ..errors import UsageError, nearest
from .image import SUFFIXES, Image, read_image

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ORIENTATION = 0x0112
_SIDEWAYS = 5  # EXIF orientations from here on exchange width and height


@dataclass(frozen=True)
class Header:
    """The size of an image as it will be decoded; `channels` is 1 (grey) or 3."""

    height: int
    width: int
    channels: int


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
                    return Header(height, width, 1 if file.mode in _GREY_MODES else 3)
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
            pass  # read_image explains
        image = self.read()
        return Header(image.height, image.width, image.channels)

    def read(self) -> Image:
        return read_image(self.path)

    def __str__(self) -> str:
        return str(self.path)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts ``img_2`` before ``img_10``."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def image_files(folder: Path) -> list[Path]:
    """The image files directly inside a folder, in natural order; hidden ones are ignored."""
    return sorted(
        (path for path in folder.iterdir() if _is_image(path) and path.is_file()),
        key=lambda path: natural_key(path.name),
    )


def find_folder(dataroot: str, inside: list[str]) -> Path:
    """The folder that holds the images of `dataroot`.

    Args:
        dataroot: as given; if it holds no image itself, one of the folders `inside` may.
        inside: places to look at below it, patterns such as ``HR`` or ``LR_bicubic/X2``.

    Raises:
        UsageError: no such folder, no image in it, or several places that hold images.
    """
    folder = Path(dataroot).expanduser()
    if not folder.is_dir():
        raise UsageError(_no_folder(folder))
    if _holds_images(folder):
        return folder
    found = [path for pattern in inside for path in sorted(folder.glob(pattern)) if _holds_images(path)]
    if len(found) == 1:
        return found[0]
    below = found or [path for path in sorted(folder.iterdir()) if _holds_images(path)]
    if below:
        names = ", ".join(path.relative_to(folder).as_posix() for path in below[:8])
        raise UsageError(f"no image directly in {folder}; name one of its folders: {names}")
    raise UsageError(f"no image in {folder}; files that count end in {', '.join(sorted(SUFFIXES))}")


def read_meta_info(path: str) -> list[str]:
    """The file names listed in a BasicSR meta-info file, lines such as ``0001_s001.png (480,480,3)``.

    Raises:
        UsageError: no such file, or a line that names no image.
    """
    file = Path(path).expanduser()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"meta_info_file {file} cannot be read: {error}") from None
    names = []
    for number, line in enumerate(lines, start=1):
        name = re.sub(r"(\s+\([\d\s,]+\))?(\s+\d+)?\s*$", "", line)
        if name and not _is_image(Path(name)):
            raise UsageError(f"{file}, line {number}: '{name}' is no image file; expected '0001.png (480,480,3)'")
        if name:
            names.append(name)
    if not names:
        raise UsageError(f"meta_info_file {file} lists no image")
    return names


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(_is_image(path) for path in folder.iterdir())


def _no_folder(folder: Path) -> str:
    """Names the deepest part of the path that exists, and its nearest entry."""
    if folder.exists():
        return f"{folder} is a file; give the folder that holds the images"
    missing = folder
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    parent = missing.parent
    siblings = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return f"no folder {folder}: {parent.resolve()} has no '{missing.name}'{nearest(missing.name, siblings)}"
