"""How long a whole recipe will take: all phases of all seeds, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ..training.step_times import StepTimes
from .workspace import Workspace

STEP_TIMES = "step_times.json"


@dataclass(frozen=True)
class PhaseTime:
    """One phase of one seed: iterations that are left, and how long one takes (None: not measured yet)."""

    phase: str
    left: int
    seconds_per_step: float | None


def seconds_left(phases: Sequence[PhaseTime]) -> float | None:
    """For all phases one after the other; None where nothing was measured yet.

    A phase that has not begun is taken for as slow as the same phase of another seed, or else as all of them.

    >>> seconds_left([PhaseTime("a", 0, 2.0), PhaseTime("b", 10, 1.0), PhaseTime("b", 20, None)])
    30.0
    """
    known = [(each.phase, each.seconds_per_step) for each in phases if each.seconds_per_step is not None]
    if not known:
        return None
    anywhere = median(seconds for _, seconds in known)
    total = 0.0
    for each in phases:
        alike = [seconds for phase, seconds in known if phase == each.phase]
        total += each.left * (each.seconds_per_step or (median(alike) if alike else anywhere))
    return total


def recipe_outlook(
    workspace: Workspace, runs: Sequence[tuple[int, str]], phase: str, seed: int, times: StepTimes
) -> Callable[[int], str]:
    """From the finished iterations of a running phase to the time left for all of these (seed, phase), in words.

    Says nothing before it is known, and of a recipe of one phase and seed, whose bar says it.
    """
    recipe, others = workspace.recipe, []
    for each, name in runs:
        if (each, name) != (seed, phase):
            states = workspace.states(name, each)
            done = recipe.length(name) if workspace.result(name, each) else max(states.iterations(), default=0)
            seconds = StepTimes(states.folder / STEP_TIMES).median
            others.append(PhaseTime(name, max(0, recipe.length(name) - done), seconds))

    def text(done: int) -> str:
        left = max(0, recipe.length(phase) - done)
        seconds = seconds_left([*others, PhaseTime(phase, left, times.median)]) if others else None
        return "" if seconds is None else f"whole recipe: {duration(seconds)} left"

    return text


def duration(seconds: float) -> str:
    """In words.

    >>> duration(95), duration(3700), duration(200_000)
    ('95 s', '1 h 1 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 2:
        return f"{int(seconds)} s"
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if not days else f"{days} d {hours % 24} h"
