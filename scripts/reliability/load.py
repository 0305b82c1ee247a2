"""Sections about a lot of work: memory and handles stay flat, and processes that share a folder share its work."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from faults import scratch
from runs import TRACEBACK, Command, hidden, make_images, write_recipe
from tally import Tally

SETTLED = 0.05  # share of the work after which memory is measured first
GROWTH = 1.10  # of memory from then on, at most


def _watch(command: Command, done: object, total: int) -> tuple[list[int], list[int]]:
    """Resident bytes and open handles of a command, from when a part of its work is done."""
    memory, handles = [], []
    place = Path(f"/proc/{command.process.pid}")
    while command.process.poll() is None:
        try:
            if done() >= SETTLED * total:  # type: ignore[operator]
                memory.append(int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"))
                handles.append(sum(1 for _ in (place / "fd").iterdir()))
        except OSError:
            break
        time.sleep(0.5)
    return memory, handles


def _judge(tally: Tally, cases: int, code: int, words: str, memory: list[int], handles: list[int]) -> None:
    wrong = f"exit code {code}: {words[-300:]}" if code or TRACEBACK in words else ""
    first, most = (memory[0], max(memory)) if memory else (1, 1)
    if most > GROWTH * first:
        wrong = wrong or f"memory grew from {first >> 20} to {most >> 20} MiB"
    if handles and max(handles) > handles[0] + 16:
        wrong = wrong or f"handles grew from {handles[0]} to {max(handles)}"
    tally.note(mib_at_first=first >> 20, mib_at_most=most >> 20, handles_at_most=max(handles, default=0))
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
        memory, handles = _watch(command, lambda: sum(1 for _ in out.iterdir()) if out.exists() else 0, cases)
        code, words = command.wait(), command.words()
        if code == 0 and (json.loads((place / "s.json").read_text())["done"], len(list(out.iterdir()))) != (
            cases,
            cases,
        ):
            code = -1
        command.survivors()
        _judge(tally, cases, code, words, memory, handles)


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
        many += [f"logger:save_checkpoint_freq={max(1, half // 20)}"]
        command = Command(("train", "-opt", "recipe.yml", "--quiet", "--device", "cpu", *many), place)
        states = place / "experiments" / "run" / "training_states" / "student"
        memory, handles = _watch(command, lambda: cases if list(states.glob("*.state")) else 0, cases)
        code, words = command.wait(), command.words()
        command.survivors()
        _judge(tally, cases, code, words, memory, handles)


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
        for _ in range(cases - 1):
            tally.add("done")
        tally.add("done", wrong)
