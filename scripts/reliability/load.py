"""Sections about a lot of work: memory and handles stay flat, and processes that share a folder share its work."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults import scratch
from runs import TRACEBACK, Command, hidden, make_images, write_recipe
from tally import Tally

SETTLED = 0.05  # share of the work after which memory is measured first
GROWTH = 1.10  # of memory from then on, at most
MORE_HANDLES = 16  # from then on, at most


@dataclass
class Watched:
    """Resident bytes and open handles of a command while it runs: what they are when a part has settled, and the most.

    Args:
        command: that runs. tally: gets the figures about once a minute, so that a run that is stopped has some.
        settled: the part that the command is at, once it has settled: there memory is measured; None before.
    """

    command: Command
    tally: Tally
    settled: Callable[[], str | None]
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    most: dict[str, tuple[int, int]] = field(default_factory=dict)

    def wait(self) -> None:
        """Until the command has ended."""
        place, noted = Path(f"/proc/{self.command.process.pid}"), time.monotonic()
        while self.command.process.poll() is None:
            with contextlib.suppress(OSError):
                if (part := self.settled()) is not None:
                    memory = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
                    now = (memory, sum(1 for _ in (place / "fd").iterdir()))
                    self.first.setdefault(part, now)
                    self.most[part] = tuple(map(max, now, self.most.get(part, now)))
            if time.monotonic() - noted > 60:
                self.note()
                noted = time.monotonic()
            time.sleep(0.5)

    def note(self) -> None:
        """The figures so far."""
        for part, (memory, handles) in self.most.items():
            first = self.first[part]
            self.tally.note(**{part: {"mib": [first[0] >> 20, memory >> 20], "handles": [first[1], handles]}})

    def finish(self, cases: int, code: int, words: str) -> None:
        """Count them."""
        self.note()
        wrong = f"exit code {code}: {words[-300:]}" if code or TRACEBACK in words else ""
        for part, (memory, handles) in self.most.items():
            first = self.first[part]
            if memory > GROWTH * first[0] or handles > first[1] + MORE_HANDLES:
                wrong = (
                    wrong or f"{part}: from {first[0] >> 20} MiB and {first[1]} handles to {memory >> 20}, {handles}"
                )
        _count(self.tally, cases, wrong)


def _count(tally: Tally, cases: int, wrong: str) -> None:
    for _ in range(cases - 1):
        tally.add("done")
    tally.add("done", wrong)


def folder(cases: int, tally: Tally) -> None:
    """One folder with so many small images, upscaled by one command."""
    if tally.cases >= cases:
        return
    with scratch() as place:
        make_images(place / "in", cases, 24)
        out = place / "out"
        command = Command(("upscale", "-i", "in", "-o", "out", "--quiet", "--device", "cpu", "--json", "s.json"), place)
        made = lambda: sum(1 for _ in out.iterdir()) if out.exists() else 0  # noqa: E731
        watched = Watched(command, tally, lambda: "images" if made() >= SETTLED * cases else None)
        watched.wait()
        code, words = command.wait(), command.words()
        if code == 0 and (json.loads((place / "s.json").read_text())["done"], made()) != (cases, cases):
            code = -1
        command.survivors()
        watched.finish(cases, code, words)


def steps(cases: int, tally: Tally) -> None:
    """One training with so many iterations in each of two phases together."""
    if tally.cases >= cases:
        return
    with scratch() as place:
        half = cases // 2
        write_recipe(place, make_images(place / "images", 8, 48), half)
        many = [
            "--force_yml",
            "datasets:train:gt_size=16",
            "datasets:train:batch_size_per_gpu=1",
            "logger:print_freq=100",
        ]
        many += [f"{key}={max(1, half // 20)}" for key in ("logger:save_checkpoint_freq", "val:val_freq")]
        command = Command(("train", "-opt", "recipe.yml", "--quiet", "--device", "cpu", *many), place)
        states = place / "experiments" / "run" / "training_states"
        watched = Watched(command, tally, lambda: _validated(states))
        watched.wait()
        code, words = command.wait(), command.words()
        command.survivors()
        watched.finish(cases, code, words)


def _validated(states: Path) -> str | None:
    """The newest phase that has saved and validated: it saves before it validates, so that a second state tells.

    None after the last: what is written about the finished run needs other libraries.
    """
    if (states / "student" / "finished.json").exists():
        return None
    return next((name for name in ("student", "teacher") if len(list((states / name).glob("*.state"))) > 1), None)


def processes(cases: int, tally: Tally) -> None:
    """Eight commands with --skip-existing into one folder: every image is made once, and none is lost."""
    if tally.cases >= cases:
        return
    with scratch() as place:
        make_images(place / "in", cases, 24)
        commands = []
        for number in range(8):
            (place / str(number)).mkdir()
            arguments = ("upscale", "-i", "../in", "-o", "../out", "--quiet", "--device", "cpu", "--skip-existing")
            commands.append(Command((*arguments, "--json", "s.json"), place / str(number)))
        codes = [command.wait() for command in commands]
        words = "".join(command.words() for command in commands)
        found = (
            [json.loads((place / str(number) / "s.json").read_text()) for number in range(8)] if not any(codes) else []
        )
        made = sum(each["done"] for each in found)
        for command in commands:
            command.survivors()
        wrong = f"exit codes {codes}: {words[-300:]}" if any(codes) or TRACEBACK in words else ""
        if (made, len(list((place / "out").glob("*.png")))) != (cases, cases) or hidden(place / "out"):
            wrong = wrong or f"{made} made for {cases} images, {hidden(place / 'out')} stayed"
        tally.note(made_by_each=[each["done"] for each in found])
        _count(tally, cases, wrong)
