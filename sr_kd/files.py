"""Writing files so that a kill at any moment leaves the old file or the new one; reading what was written so."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from .errors import SrKdError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ONE_AT_A_TIME = Lock()
_STEM = 40  # characters of a file's name in that of its temporary one
_MARK = ".sr_kd-"  # in the name of every temporary file, so that none of a stranger is taken for ours
_TEMPORARY = re.compile(rf"(\..*)?{re.escape(_MARK)}[a-z0-9_]{{8}}(\.[^.]*)?", re.DOTALL)
_ABANDONED = 60.0  # seconds after which a temporary file without an owner is taken for a killed run's
_DEEPEST = 200  # folders within each other: making them is a recursion
_DEVICE = "it is a device or a pipe, not a file; name a file"


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path in the same folder (same suffix), renamed to `path` when the block succeeds.

    The folder is made if needed; the content is flushed to the disk before the rename.

    Raises:
        SrKdError: the file cannot be written (no permission, full disk, a device).
    """
    path = Path(path)
    try:
        if problem := _no_place(path):
            raise SrKdError(f"cannot write {path}: {problem}")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:_STEM]}{_MARK}", suffix=path.suffix)
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
    temporary = Path(name)
    owned = _lock(handle)  # until this process ends, in whatever way
    try:
        if not owned:
            os.close(handle)
        yield temporary
        with temporary.open("r+b") as written:  # Windows flushes only what may be written
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
        if owned:
            os.close(handle)


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Whether no other process is making this file; until the block ends, none will. A killed one gives its claim back.

    The claim is a lock on a hidden file, which `sweep_folder` takes for a temporary one. Where the system knows no
    locks, every process is told that it is alone.

    Raises:
        SrKdError: the folder cannot be written.
    """
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    place, alone = path.with_name(f".{path.stem[:_STEM]}{_MARK}{mark}{path.suffix}"), True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
            except OSError:  # some network file systems know no locks
                pass
        yield alone
    finally:
        if alone:
            place.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """A folder for the time of the block; what killed runs left of that kind is removed first.

    Args:
        place: where it is made; None: where the system has its temporary files.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    sweep_folder(place)
    with tempfile.TemporaryDirectory(dir=place, prefix=_MARK) as name:
        handle = os.open(name, os.O_RDONLY) if fcntl is not None else None  # Windows opens no folders
        try:
            if handle is not None:
                _lock(handle)  # until this process ends, in whatever way
            yield Path(name)
        finally:
            if handle is not None:
                os.close(handle)


def is_temporary(path: Path) -> bool:
    """Whether `atomic_path` or `claim` named it, by its name."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files that killed runs left in a folder; those in work and all others are left alone."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            path = Path(entry.path)
            with contextlib.suppress(OSError):  # one of another user does not protect the others
                if is_temporary(path) and _is_abandoned(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sweep_tree(root: Path) -> None:
    """As `sweep_folder`, also of all folders below."""
    for folder, _, _ in os.walk(root):
        sweep_folder(Path(folder))


def _lock(handle: int) -> bool:
    """Whether the file is now this process's own; the system gives it up when the process ends."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # some network file systems know no locks
        return False
    return True


def _is_abandoned(path: Path) -> bool:
    age = abs(time.time() - path.lstat().st_mtime)  # a clock that was set back makes files of the future
    if age < _ABANDONED or path.is_symlink():
        return False
    if not (path.is_file() or (path.is_dir() and fcntl is not None)):
        return False
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe that was put there is not waited for
    try:
        return _lock(handle)
    finally:
        os.close(handle)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file atomically.

    What Python makes of the bytes of file names that are no UTF-8 becomes an escape, which JSON understands.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, kind: Any) -> Any:
    """What a JSON file holds, checked by pydantic.

    Args:
        kind: the type that it must have: a dataclass, a model, ``dict[str, float]``...

    Raises:
        ValueError: it holds something else, is damaged, or is no file of its own (a pipe would be waited for).
        OSError: it cannot be read.
    """
    from pydantic import TypeAdapter  # few commands need it

    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file of its own")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} is nested without end") from None
    return TypeAdapter(kind).validate_python(found)  # its own reader knows no names of files that are no text


def check_own_file(path: Path) -> None:
    """Refuse, with an SrKdError, to write into what is there if it is a link (to anywhere) or a pipe, which waits."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise SrKdError(f"{path} is a link, or no file, and would be written into: remove it")


def check_target(path: Path | str, option: str) -> None:
    """Refuse, before any work, a file that could not be written at its end; what killed runs left beside it goes.

    Args:
        path: the file.
        option: what named it, for the message.

    Raises:
        UsageError: a folder has that name, a file stands where a folder is needed, or writing is not permitted.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it")
    if problem := _no_place(path):
        raise UsageError(f"{option} {path}: {problem}")
    check_folder(path.parent, option)
    sweep_folder(path.parent)


def check_folder(folder: Path, option: str) -> None:
    """As `check_target`, of a folder that is made if needed."""
    if problem := _no_folder(folder):
        raise UsageError(f"{option} {folder}: {problem}")
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise UsageError(f"{option} {folder}: {place} is a file, where a folder is needed; choose another name")
            if not os.access(place, os.W_OK | os.X_OK):
                raise UsageError(f"{option} {folder}: no permission to write into {place}; choose another place")
            return


def real_path(path: Path | str) -> Path:
    """The absolute path without links; where they go in a circle, as far as they can be followed, without an error."""
    return Path(os.path.realpath(path))


def _no_place(path: Path) -> str | None:
    """Why no file can be put there by renaming another: that would replace the device, for all programs."""
    if problem := _no_folder(path.parent):
        return problem
    if path.is_symlink() and not path.exists():
        return None
    return _DEVICE if os.path.lexists(path) and not path.is_file() and not path.is_dir() else None


def _no_folder(folder: Path) -> str | None:
    """Why no file can be put into that folder, whatever its name."""
    if len(folder.parts) >= _DEEPEST:
        return f"{len(folder.parts):,} folders within each other; at most {_DEEPEST - 1} are possible"
    return _DEVICE if folder == Path("/dev") else None


def _umask() -> int:
    with _ONE_AT_A_TIME:  # another thread must not find, and leave, the zero
        mask = os.umask(0)
        os.umask(mask)
    return mask
