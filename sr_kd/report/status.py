"""How far a run is, told from its files: every phase and seed, and the time left for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ..recipes.graph import phase_order
from ..training.step_times import StepTimes
from .progress import last_scores, read_logged
from .run import Run

BAR = 20


@dataclass(frozen=True)
class Status:
    """One phase of one seed.

    Attributes:
        done, total: iterations; with what is pre-trained before.
        finished: whether its last validation is done, too.
        seconds_per_step: of its own iterations; None where it was not measured yet.
        scores: of the last validation, "SET METRIC" -> value.
    """

    phase: str
    seed: int
    done: int
    total: int
    finished: bool
    seconds_per_step: float | None
    scores: dict[str, float]

    @property
    def left(self) -> int:
        """Iterations."""
        return 0 if self.finished else self.total - self.done


def run_status(run: Run) -> list[Status]:
    """Every phase of every seed, in the order in which they run."""
    logged = read_logged(run)
    found = []
    for seed in run.recipe.seeds:
        for phase in phase_order(run.recipe):
            result = run.workspace.result(phase, seed)
            lines = logged[phase, seed]
            total = run.recipe.length(phase)
            done = total if result is not None else min(total, max(lines, default=0))
            times = StepTimes(run.workspace.states(phase, seed).folder / "step_times.json").median
            scores = {f"{name} {metric}": value for (name, metric), value in last_scores(lines).items()}
            found.append(Status(phase, seed, done, total, result is not None, times, scores))
    return found


def seconds_left(statuses: Sequence[Status]) -> float | None:
    """For all phases one after the other; None where nothing was measured yet.

    A phase that has not begun is taken for as slow as the same phase of another seed, or else as all of them.
    """
    known = [status for status in statuses if status.seconds_per_step is not None]
    if not known:
        return None
    anywhere = median(status.seconds_per_step or 0.0 for status in known)
    seconds = 0.0
    for status in statuses:
        alike = [each.seconds_per_step or 0.0 for each in known if each.phase == status.phase]
        seconds += status.left * (status.seconds_per_step or (median(alike) if alike else anywhere))
    return seconds


def status_lines(statuses: Sequence[Status]) -> Iterator[str]:
    """A line per phase and seed, and one for all."""
    width = max(len(status.phase) for status in statuses)
    for status in statuses:
        filled = BAR * status.done // max(1, status.total)
        state = "done" if status.finished else "running" if status.done else "waiting"
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
        yield f"all: {done:,} of {total:,} iterations ({100 * done // max(1, total)} %), {time}"


def duration(seconds: float) -> str:
    """In words.

    >>> duration(42), duration(3700), duration(200_000)
    ('42 s', '1 h 1 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if not minutes:
        return f"{int(seconds)} s"
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if not days else f"{days} d {hours % 24} h"
