"""How far a run is, told from its files: every phase and seed, and the time left for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..recipes.graph import arms, phase_order
from ..recipes.time_left import STEP_TIMES, PhaseTime, duration, seconds_left
from ..training.step_times import StepTimes
from .data import PhaseState
from .progress import Logged, last_scores, read_logged
from .run import Run

BAR = 20


@dataclass(frozen=True)
class Status(PhaseTime):
    """One phase of one seed.

    Attributes:
        done, total: iterations; with what is pre-trained before.
        finished: whether its last validation is done, too.
        scores: of the last validation, "SET METRIC" -> value.
    """

    seed: int
    done: int
    total: int
    finished: bool
    scores: dict[str, float]


def run_status(run: Run, logged: Logged | None = None) -> list[Status]:
    """Every phase of every seed, in the order in which they run; `logged` is read where it is not given."""
    logged = read_logged(run) if logged is None else logged
    found = []
    for seed in run.recipe.seeds:
        for phase in phase_order(run.recipe):
            result = run.workspace.result(phase, seed)
            lines = logged[phase, seed]
            total = run.recipe.length(phase)
            done = total if result is not None else min(total, max(lines, default=0))
            times = StepTimes(run.workspace.states(phase, seed).folder / STEP_TIMES).median
            scores = {f"{name} {metric}": value for (name, metric), value in last_scores(lines).items()}
            found.append(Status(phase, total - done, times, seed, done, total, result is not None, scores))
    return found


def phase_states(run: Run, statuses: Sequence[Status], prefix: str = "") -> list[PhaseState]:
    """Every phase in the order in which they run, with its iterations over all seeds."""
    labels = {phase: label for label, phase in arms(run.recipe).items()}
    teachers = {run.teacher(phase) for phase in run.recipe.phases}
    found = []
    for phase in phase_order(run.recipe):
        seeds = [status for status in statuses if status.phase == phase]
        role = "arm" if phase in labels else "teacher" if phase in teachers else "before"
        done, total = (sum(getattr(status, name) for status in seeds) for name in ("done", "total"))
        found.append(PhaseState(prefix + phase, prefix + labels.get(phase, phase), role, done, total))
    return found


def status_lines(statuses: Sequence[Status], running: bool | None = None) -> Iterator[str]:
    """A line per phase and seed, and one for all; it says whether a process is at work where that is known."""
    width = max(len(status.phase) for status in statuses)
    for status in statuses:
        filled = BAR * status.done // max(1, status.total)
        state = "done" if status.finished else "begun" if status.done else "waiting"
        scores = ", ".join(f"{name} {value:.4g}" for name, value in status.scores.items())
        speed = f", {1000 * status.seconds_per_step:.3g} ms a step" if status.seconds_per_step else ""
        yield (
            f"{status.phase:<{width}}  seed {status.seed}  [{'#' * filled}{'.' * (BAR - filled)}]  "
            f"{status.done:>9,} of {status.total:,}  {state}{speed}{f'; {scores}' if scores else ''}"
        )
    done, total = (sum(getattr(status, name) for status in statuses) for name in ("done", "total"))
    left = seconds_left(statuses)
    if all(status.finished for status in statuses):
        yield f"finished: {total:,} iterations"
    else:
        time = "time left unknown yet" if left is None else f"about {duration(left)} left in one process"
        at_work = {True: "running: ", False: "stopped: ", None: ""}[running]
        on = "; sr-kd train --auto_resume goes on" if running is False else ""
        yield f"{at_work}{done:,} of {total:,} iterations ({100 * done // max(1, total)} %), {time}{on}"
