"""One process at a time on an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SrKdError


@contextmanager
def only_run_of(experiment: Path) -> Iterator[None]:
    """Hold ``.NAME.lock`` beside an experiment's folder; the system gives it back even after a kill.

    Beside and not inside, because the folder is renamed when an experiment is archived.

    Raises:
        SrKdError: another process works on this experiment, or the lock cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    path = experiment.with_name(f".{experiment.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SrKdError(
                f"another process is running {experiment}: wait for it, stop it, or give the recipe another name"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
