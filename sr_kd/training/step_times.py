"""How long an iteration takes, measured so that a busy moment or a resume does not spoil it."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from ..device import wait_for
from ..files import read_json, write_text

_KEPT = 1000
_LONGEST = 1e6  # seconds: more is no measurement


class StepTimes:
    """Mean seconds per iteration of every interval between two logged ones, kept in a file beside the training states.

    Single iterations cannot be timed, because an accelerator works behind. Logged iterations are not counted: they
    cost more, the more losses there are. Neither is a process's first interval, with its first iterations.

    Args:
        file: JSON, made by `save`; what an interrupted run has left there counts. Anything else in it is ignored.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._means = deque(read_step_times(file), maxlen=_KEPT)
        self._first = True
        self._seconds, self._count = 0.0, 0

    @contextmanager
    def iteration(self, device: torch.device, logged: bool) -> Iterator[None]:
        """Around one iteration; a logged one waits for the device before and after, and is not timed."""
        began = time.perf_counter()
        if logged:
            wait_for(device)
            self.end_interval(time.perf_counter() - began)
        yield
        if logged:
            wait_for(device)
        else:
            self.add(time.perf_counter() - began)

    def add(self, seconds: float) -> None:
        """Record an iteration."""
        self._seconds += seconds
        self._count += 1

    def end_interval(self, seconds: float) -> None:
        """Before a logged iteration; `seconds` were spent on waiting for those before it."""
        if self._count:
            if not self._first:
                self._means.append((self._seconds + seconds) / self._count)
            self._first = False
        self._seconds, self._count = 0.0, 0

    @property
    def median(self) -> float | None:
        """Seconds per iteration; None before the end of the second interval."""
        return median(self._means) if self._means else None

    def save(self) -> None:
        """Write the file. Raises SrKdError if that fails."""
        write_text(self.file, json.dumps(list(self._means)))


def read_step_times(file: Path) -> list[float]:
    """The means that were saved; none where the file is missing or damaged."""
    try:
        found: list[float] = read_json(file, list[float])
    except (OSError, ValueError):
        return []
    return found if all(0 < value < _LONGEST for value in found) else []
