"""How long a distillation has taken, with the calls that were killed: kept in ``spent.json``."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import SrKdError
from ..files import read_json, write_text

FILE = "spent.json"
TOTAL = "all"
INTERVAL = 2.0  # seconds, which is as much as a kill may take away


class Clock:
    """Counts on from where an earlier call was stopped; within its context a thread writes the time down.

    Args:
        folder: of the distillation.
        began: when this call began, by `time.monotonic`.
    """

    def __init__(self, folder: Path, began: float) -> None:
        self._path = folder / FILE
        self._marks: dict[str, float] = {}
        with suppress(OSError, ValueError):
            self._marks = read_json(self._path, dict[str, float])
        self.before = max(0.0, self._marks.get(TOTAL, 0.0))
        self._began, self._done = began, threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        self._write()

    def now(self) -> float:
        """Seconds that all calls have taken until now."""
        return self.before + time.monotonic() - self._began

    def since(self, mark: str) -> float:
        """Seconds since this was first asked about the mark, in whatever call."""
        now = self.now()
        return now - self._marks.setdefault(mark, now)

    def _keep(self) -> None:
        while not self._done.wait(INTERVAL):
            self._write()

    def _write(self) -> None:
        with suppress(OSError, SrKdError):  # a full disk is told by what needs it
            write_text(self._path, json.dumps({**self._marks, TOTAL: self.now()}))
