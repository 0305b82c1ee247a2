"""Counts of a section in a JSON file, written after every few cases: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sr_kd.files import write_text

SHOWN = 20  # failures of a section that are described


class Tally:
    """What became of the cases of one section.

    Args:
        file: of all sections. section: this one's name. seed: another one begins anew.
    """

    def __init__(self, file: Path, section: str, seed: int) -> None:
        self._file, self._section, self.seed = file, section, seed
        self._all: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        found = self._all.get(section, {})
        begun = {"seed": seed, "cases": 0, "seconds": 0.0, "outcomes": {}, "failures": []}
        self._count: dict[str, Any] = found if found.get("seed") == seed else begun
        self._all[section] = self._count
        self._since = self._written = time.monotonic()

    @property
    def cases(self) -> int:
        """How many cases are finished; the next one has this number."""
        return int(self._count["cases"])

    @property
    def failed(self) -> int:
        """How many of them broke a promise."""
        return sum(count for name, count in self._count["outcomes"].items() if name.startswith("FAILED"))

    def add(self, outcome: str, detail: str = "") -> None:
        """One more case: "done", "refused"... or, where `detail` says why, a broken promise."""
        name = f"FAILED {outcome}" if detail else outcome
        if detail:
            print(f"{self._section} {self.cases}: {name}: {detail}", flush=True)
            if len(self._count["failures"]) < SHOWN:
                self._count["failures"].append({"case": self.cases, "what": name, "detail": detail[:500]})
        self._count["cases"] += 1
        self._count["outcomes"][name] = self._count["outcomes"].get(name, 0) + 1
        if detail or time.monotonic() - self._written > 5:
            self.write()

    def note(self, **values: Any) -> None:
        """What was measured beside the counts."""
        self._count.setdefault("measured", {}).update(values)
        self.write()

    def write(self) -> None:
        """Put the counts of this section into the file; other sections may have been written meanwhile."""
        now = time.monotonic()
        self._count["seconds"] = round(self._count["seconds"] + now - self._since, 1)
        self._since = self._written = now
        others = json.loads(self._file.read_text()) if self._file.exists() else {}
        write_text(self._file, json.dumps({**others, self._section: self._count}, indent=1))

    def summary(self) -> str:
        """A line: what happened how often."""
        self.write()
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(self._count["outcomes"].items()))
        return f"{self._section}: {self.cases} cases in {self._count['seconds']:.0f} s: {outcomes or 'none'}"
