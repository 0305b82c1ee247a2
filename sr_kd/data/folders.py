"""Images in folders: which files count, in what order, and what to say when they are not there."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

from ..errors import UsageError, nearest
from ..files import real_path
from ..images import NOT_READ, SUFFIXES


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts ``img_2`` before ``img_10``."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def image_files(folder: Path) -> list[Path]:
    """The image files directly inside a folder, in natural order; hidden ones are ignored, other formats counted.

    Raises:
        UsageError: links to files that are not there.
    """
    named = sorted((path for path in folder.iterdir() if _is_image(path)), key=lambda path: natural_key(path.name))
    if others := _not_read(folder):
        logging.getLogger("sr_kd").warning("%s: not read: %s", folder, others)
    dead = [path for path in named if path.is_symlink() and not path.exists()]
    if dead:
        raise UsageError(
            f"{len(dead)} of {len(named)} image files in {folder} are links to files that are not there, such as "
            f"{dead[0].name} -> {dead[0].readlink()}"
        )
    return [path for path in named if path.is_file()]


def find_folder(dataroot: str, inside: list[str]) -> Path:
    """The folder that holds the images of `dataroot`.

    Args:
        dataroot: as given; if it holds no image itself, one of the folders `inside` may.
        inside: places to look at below it, in order: patterns such as ``HR`` or ``LR_bicubic/X2``.

    Raises:
        UsageError: no such folder, no image in it, or several places that hold images.
    """
    folder = Path(dataroot).expanduser()
    if not folder.is_dir():
        raise UsageError(_no_folder(folder))
    if _holds_images(folder):
        return folder
    for pattern in inside:
        found = [path for path in sorted(folder.glob(pattern)) if _holds_images(path)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"no image directly in {folder}; {_name_one(folder, found)}")
    below = [path for path in sorted(folder.iterdir()) if _holds_images(path)]
    if below:
        raise UsageError(f"no image directly in {folder}; {_name_one(folder, below)}")
    if bases := [file.parent for file in sorted(folder.glob("*/data.mdb"))]:
        raise UsageError(f"no image in {folder}, but LMDBs; {_name_one(folder, bases)}")
    others = f" (not read: {_not_read(folder)})" if _not_read(folder) else ""
    raise UsageError(f"no image in {folder}{others}; files that count end in {', '.join(sorted(SUFFIXES))}")


def read_meta_info(path: str) -> list[str]:
    """The file names listed in a BasicSR meta-info file, lines such as ``0001_s001.png (480,480,3)``.

    Raises:
        UsageError: no such file, not UTF-8 text, or a line that names no image.
    """
    file = Path(path).expanduser()
    if file.exists() and not file.is_file():
        raise UsageError(f"meta_info_file {file} cannot be read: it is no file")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"meta_info_file {file} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"meta_info_file {file} cannot be read: {error.strerror}") from None
    names = []
    for number, line in enumerate(lines, start=1):
        name = _listed_name(line)
        if name and not _is_image(Path(name)):
            raise UsageError(f"{file}, line {number}: '{name}' is no image file; expected '0001.png (480,480,3)'")
        if name:
            names.append(name)
    if not names:
        raise UsageError(f"meta_info_file {file} lists no image")
    return names


def _listed_name(line: str) -> str:
    """The line without the size and the number at its end, in a time that grows with its length alone."""
    *before, last = line.rsplit(maxsplit=1) or [""]
    if before and last.isdecimal():
        line = before[0]
    name, bracket, size = line.rstrip().rpartition("(")
    if bracket and name[-1:].isspace() and re.fullmatch(r"[\d\s,]+\)", size):
        line = name
    return line.rstrip()


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _not_read(folder: Path) -> str:
    """How many images of other formats lie in it: '2 .heic, 1 .jp2'."""
    suffixes = (path.suffix.lower() for path in folder.iterdir())
    others = Counter(suffix for suffix in suffixes if suffix in NOT_READ)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(_is_image(path) for path in folder.iterdir())


def _name_one(folder: Path, candidates: list[Path]) -> str:
    names = ", ".join(path.relative_to(folder).as_posix() for path in candidates[:8])
    return f"name one of its folders: {names}"


def _no_folder(folder: Path) -> str:
    """Names the deepest part of the path that exists, and its nearest entry."""
    if folder.exists():
        return f"{folder} is a file; give the folder that holds the images"
    if folder.is_symlink():
        return f"{folder} is a link to {folder.readlink()}, which is not there"
    missing = folder
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    parent = missing.parent
    siblings = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return f"no folder {folder}: {real_path(parent)} has no '{missing.name}'{nearest(missing.name, siblings)}"
