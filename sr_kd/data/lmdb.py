"""BasicSR's LMDB format: PNG files under the key "name", and a list of them in ``meta_info.txt``.

A line of ``meta_info.txt`` is ``name.png (height,width,channels) compression``. Only the last suffix
is cut off to make the key, so names with dots work; keys are UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import lmdb

from ..errors import SrKdError, UsageError, nearest
from ..files import check_own_file, write_text
from ..images import Header, Image, decode_image
from .lmdb_file import LmdbFileError, Value, read_index

COMPRESSION = 1  # zlib level of the PNG files, as BasicSR's: quick to decode
_DATA, _META, _LOCK = "data.mdb", "meta_info.txt", "lock.mdb"
_LOCK_BYTES = 2**13  # of LMDB's 126 readers
_LINE = re.compile(r"(?P<file>.+?) \((?P<height>\d+),(?P<width>\d+),(?P<channels>\d+)\) \d+")
_LONGEST_KEY = 511  # bytes, LMDB's limit
_FIRST_MAP = 2**26
_FLUSH_BYTES = 2**26


@dataclass(frozen=True)
class LmdbImage:
    """One image of an LMDB folder, as its meta-info file describes it."""

    folder: Path
    name: str
    described: Header
    value: Value

    def header(self) -> Header:
        return self.described

    def read(self) -> Image:
        try:
            with (self.folder / _DATA).open("rb") as file:
                file.seek(self.value.offset)
                data = file.read(self.value.size)
        except OSError as error:
            raise SrKdError(f"cannot read {self}: {error.strerror or error}") from None
        return decode_image(data, str(self))

    def __str__(self) -> str:
        return f"{self.folder / self.name}"


def lmdb_images(dataroot: str) -> list[LmdbImage]:
    """The images of an LMDB folder, in the order of its meta-info file.

    Raises:
        UsageError: no such folder, no LMDB in it, or a meta-info file that is missing or wrong.
        SrKdError: a damaged or truncated data base, or one without the keys that are listed.
    """
    folder = Path(dataroot).expanduser()
    if not (folder / _DATA).is_file():
        siblings = [path.name for path in folder.parent.glob("*.lmdb")]
        raise UsageError(f"no LMDB at {folder}: there is no {_DATA}{nearest(folder.name, siblings)}")
    listed = _read_meta(folder / _META)
    index = _read_index(folder)
    missing = [name for name, _ in listed if name.encode() not in index]
    if missing:
        raise SrKdError(
            f"{folder}: {len(missing)} of {len(listed)} images that {_META} lists are not in the data base, "
            f"such as '{missing[0]}'; the two do not belong together, make them again"
        )
    return [LmdbImage(folder, name, header, index[name.encode()]) for name, header in listed]


class LmdbWriter:
    """Writes images into an LMDB folder; a context manager.

    What is there stays, so that an interrupted writing can go on. The map grows as needed. Without
    :meth:`finish` there is no meta-info file, and the folder is refused by readers.

    Raises (all methods):
        SrKdError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: list[tuple[bytes, bytes]] = []
        self._waiting_bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (_DATA, _LOCK):
                check_own_file(folder / name)
            if (folder / _DATA).exists():
                _read_index(folder)  # its library would end this process over a damaged one
            with (folder / _LOCK).open("ab") as lock:  # its library maps it, and is killed where the disk has no room
                lock.write(bytes(max(0, _LOCK_BYTES - lock.tell())))
            self._environment = lmdb.open(str(folder), map_size=_FIRST_MAP)
        except (OSError, lmdb.Error) as error:
            raise SrKdError(f"cannot write the LMDB {folder}: {error}") from None

    def __enter__(self) -> LmdbWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._flush()
        finally:
            self._environment.close()

    def names(self) -> set[str]:
        """The names that are in the data base already."""
        return {key.decode(errors="replace") for key in _read_index(self.folder)}

    def put(self, name: str, png: bytes) -> None:
        """Add an image file under its name without suffix."""
        try:
            key = name.encode()
        except UnicodeEncodeError:
            raise SrKdError(f"the image name '{name}' is no UTF-8, as names in an LMDB are: rename the image") from None
        if len(key) > _LONGEST_KEY:
            raise SrKdError(f"the image name '{name[:40]}...' is longer than LMDB's {_LONGEST_KEY} bytes")
        self._waiting.append((key, png))
        self._waiting_bytes += len(png)
        if self._waiting_bytes > _FLUSH_BYTES:
            self._flush()

    def finish(self, entries: Iterable[tuple[str, Header]]) -> None:
        """Write the meta-info file: the images in order, with their sizes."""
        self._flush()
        listed = dict(entries)
        if not (self.folder / _DATA).exists() or not self.names().issuperset(listed):
            raise SrKdError(f"{self.folder} was removed meanwhile: remove what is left of it, and begin again")
        write_text(
            self.folder / _META,
            "".join(f"{meta_line(name, header)} {COMPRESSION}\n" for name, header in listed.items()),
        )

    def _flush(self) -> None:
        while self._waiting:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._waiting:
                        transaction.put(key, value)
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except lmdb.Error as error:
                self._waiting.clear()
                raise SrKdError(f"cannot write the LMDB {self.folder}: {error}") from None
            else:
                self._waiting.clear()
                self._waiting_bytes = 0


def meta_line(name: str, header: Header) -> str:
    """A line of a BasicSR meta-info file, such as ``0001_s001.png (480,480,3)``."""
    return f"{name}.png ({header.height},{header.width},{header.channels})"


def _read_index(folder: Path) -> dict[bytes, Value]:
    try:
        return read_index(folder / _DATA)
    except LmdbFileError as error:
        raise SrKdError(f"{folder / _DATA} {error}; copy or make it again") from None
    except OSError as error:
        raise SrKdError(f"cannot read {folder / _DATA}: {error.strerror or error}") from None


def _read_meta(file: Path) -> list[tuple[str, Header]]:
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} cannot be read: it is no file")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(
            f"{file.parent} has no {_META}: it was not made by BasicSR or `sr-kd prepare`, or making it was "
            "interrupted (run the same command again to complete it)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    images = []
    for number, line in enumerate(lines, start=1):
        parts = _LINE.fullmatch(line.rstrip())
        if parts is None:
            raise UsageError(f"{file}, line {number}: expected 'name.png (480,480,3) 1', found '{line[:80]}'")
        name = parts["file"].rpartition(".")[0] or parts["file"]
        if name in (".", "..") or any(character in name for character in "/\\\0"):
            raise UsageError(
                f"{file}, line {number}: '{name[:80]}' is a path; files are called after names without '/'"
            )
        samples = int(parts["channels"])
        header = Header(int(parts["height"]), int(parts["width"]), 1 if samples < 3 else 3, alpha=samples in (2, 4))
        images.append((name, header))
    if not images:
        raise UsageError(f"{file} lists no image")
    return images
