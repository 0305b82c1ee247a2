"""Medians over repetitions, the candidates taken in turn so that their ratios hold on a busy machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping

import torch

from ..device import wait_for
from ..memory import keep_freed_memory, return_freed_memory
from ..progress import progress_bar

WARM_UP = 2  # runs of each candidate before the clock starts: kernels are chosen, caches filled


def time_in_turn(
    candidates: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    usual_memory: Collection[str] = (),
    device: torch.device | None = None,
    quiet: bool = True,
) -> dict[str, float]:
    """Median seconds of each candidate over A B C A B C ...

    Args:
        candidates: name -> one run of it.
        repetitions: of each.
        usual_memory: candidates that run as in a program that does not call `keep_freed_memory`. The others run as our
            commands do. A run that nobody times follows each change, because the first one has its pages cleared.
        device: what a run may leave working, and is waited for.
        quiet: no progress bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    kept: bool | None = None
    with progress_bar(WARM_UP + repetitions, "measuring", "round", quiet) as bar:
        for repetition in range(-WARM_UP, repetitions):
            for name, run in candidates.items():
                if usual_memory and kept != (name not in usual_memory):
                    kept = name not in usual_memory
                    keep_freed_memory() if kept else return_freed_memory()
                    run()
                elapsed = _clock(run, device)
                if repetition >= 0:
                    seconds[name].append(elapsed)
            bar.update()
    if usual_memory:
        keep_freed_memory()
    return {name: statistics.median(values) for name, values in seconds.items()}


def _clock(run: Callable[[], object], device: torch.device | None) -> float:
    wait_for(device)
    started = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - started
