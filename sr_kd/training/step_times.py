"""How long an iteration takes, measured so that a busy moment or a resume does not spoil it."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from statistics import median

from ..files import write_text

_KEPT = 1000


class StepTimes:
    """Mean seconds per iteration of every print interval, kept in a file beside the training states.

    Single iterations cannot be timed: an accelerator is waited for only where values are logged. The interval
    in which a process begins is left out, because it holds its first iterations.

    Args:
        file: JSON, made by `save`; what an interrupted run has left there counts. Anything else in it is ignored.
        every: iterations of an interval.
    """

    def __init__(self, file: Path, every: int) -> None:
        self.file, self.every = file, every
        self._means = deque(_read(file), maxlen=_KEPT)
        self._began = False
        self._seconds = 0.0

    def add(self, done: int, seconds: float) -> None:
        """Record the last of `done` finished iterations."""
        self._seconds += seconds
        if done % self.every == 0:
            if self._began:
                self._means.append(self._seconds / self.every)
            self._began, self._seconds = True, 0.0

    @property
    def median(self) -> float | None:
        """Seconds per iteration; None before the end of the second interval."""
        return median(self._means) if self._means else None

    def save(self) -> None:
        """Write the file. Raises SrKdError if that fails."""
        write_text(self.file, json.dumps(list(self._means)))


def _read(file: Path) -> list[float]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [float(value) for value in found if isinstance(value, int | float)] if isinstance(found, list) else []
