"""Medians over repetitions, the candidates taken in turn so that their ratios hold on a busy machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

from ..device import wait_for
from ..progress import progress_bar

WARM_UP = 2  # runs of each candidate before the clock starts: kernels are chosen, caches filled


def time_in_turn(
    candidates: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    device: torch.device | None = None,
    quiet: bool = True,
) -> dict[str, float]:
    """Median seconds of each candidate over A B C A B C ...

    Args:
        candidates: name -> one run of it.
        repetitions: of each.
        device: what a run may leave working, and is waited for.
        quiet: no progress bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    with progress_bar(WARM_UP + repetitions, "measuring", "round", quiet) as bar:
        for repetition in range(-WARM_UP, repetitions):
            for name, run in candidates.items():
                elapsed = _clock(run, device)
                if repetition >= 0:
                    seconds[name].append(elapsed)
            bar.update()
    return {name: statistics.median(values) for name, values in seconds.items()}


def _clock(run: Callable[[], object], device: torch.device | None) -> float:
    wait_for(device)
    started = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - started
