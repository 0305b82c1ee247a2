"""One process at a time on an experiment, on each of its seeds, or on each phase of them."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import SrKdError
from ..files import check_own_file

ATTEMPTS = 3  # `is_running` holds a lock for a moment


@contextmanager
def only_run_of(experiment: Path, seeds: Sequence[int] = (), phases: Sequence[str] = ()) -> Iterator[None]:
    """Hold ``.NAME.lock`` beside an experiment's folder; the system gives it back even after a kill.

    Beside and not inside, because the folder is renamed when an experiment is archived.

    Args:
        experiment: its folder.
        seeds: hold these alone, and leave others to other processes.
        phases: hold these of the seeds alone.

    Raises:
        SrKdError: another process works on this experiment or seed, or a lock cannot be written.
    """
    with ExitStack() as held:
        held.enter_context(_lock(experiment.with_name(f".{experiment.name}.lock"), str(experiment), bool(seeds)))
        for seed in sorted(set(seeds)):
            path = experiment.with_name(f".{experiment.name}.seed{seed}.lock")
            held.enter_context(_lock(path, f"seed {seed} of {experiment}", bool(phases)))
            for phase in phases:
                path = experiment.with_name(f".{experiment.name}.{phase}_seed{seed}.lock")
                held.enter_context(_lock(path, f"{phase} of seed {seed} of {experiment}"))
        yield


def is_running(experiment: Path) -> bool | None:
    """Whether a process of this machine works on an experiment or a part of it; None where the system cannot tell."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return None
    for path in experiment.parent.glob(f".{glob.escape(experiment.name)}.*lock"):
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
    return False


@contextmanager
def _lock(path: Path, what: str, shared: bool = False) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    check_own_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")  # for reading too: NFS shares no lock on a file that cannot be read
    except OSError as error:
        raise SrKdError(f"cannot write {path}: {error.strerror or error}") from None
    with file:
        for attempt in range(ATTEMPTS):
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == ATTEMPTS - 1:
                    raise SrKdError(
                        f"another process is running {what}: wait for it, stop it, or give the recipe another name"
                    ) from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield
