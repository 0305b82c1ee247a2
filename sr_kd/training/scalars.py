"""The values that a phase logs, as lines of JSON beside its training states: what reports and `status` read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import SrKdError
from ..files import write_text

FILE = "scalars.jsonl"
VALIDATION = "metrics/"
Line = tuple[int, dict[str, float]]


class ScalarFile:
    """Appends what is logged, a line per iteration.

    Args:
        path: of the file; what it holds of iterations after `start`, which an interrupted run left, is dropped.
        start: the iteration that the run (re)starts from; its validation is dropped, too: it comes again.

    Attributes:
        last: what was logged after `start` iterations, without the validation.

    Raises:
        SrKdError: it cannot be written.
    """

    def __init__(self, path: Path, start: int) -> None:
        kept = [(iteration, values) for iteration, values in read_scalars(path) if iteration <= start]
        self.last: dict[str, float] = {}
        for iteration, values in kept:
            if iteration == start:
                self.last |= {key: value for key, value in values.items() if not key.startswith(VALIDATION)}
        lines = [(iteration, values) for iteration, values in kept if iteration < start]
        lines += [(start, self.last)] if self.last else []
        write_text(path, "".join(_line(iteration, values) for iteration, values in lines))
        self._path = path

    def add(self, iteration: int, values: Mapping[str, float]) -> None:
        """Append the values after `iteration` finished iterations; on the disk when this returns."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(iteration, values))
        except OSError as error:
            raise SrKdError(f"cannot write {self._path}: {error.strerror or error}") from None


def read_scalars(path: Path) -> Iterator[Line]:
    """(iteration, values) of every line; none where there is no file. A line that a kill has cut is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return
    for line in text.splitlines():
        try:
            found: Any = json.loads(line)
            yield int(found["iteration"]), {str(key): float(value) for key, value in found["values"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            continue


def _line(iteration: int, values: Mapping[str, float]) -> str:
    return json.dumps({"iteration": iteration, "values": {key: float(value) for key, value in values.items()}}) + "\n"
