"""What an arm costs: its iterations, with those of the phases before it, and the time of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from ..config.schema import TrainingRecipe
from ..tasks.base import FinishedArm
from .graph import arms, baseline_of, teacher_of

NOTE = (
    "Iterations: those of the phases before, of a pre-training, and the arm's own. Cost per step: median time of "
    "one of its own iterations"
)


def cost_columns(recipe: TrainingRecipe, found: Mapping[str, Sequence[FinishedArm]]) -> dict[str, dict[str, str]]:
    """Two columns of a comparison's table: header -> label -> cell.

    The time is the median over seeds, relative to the undistilled arm's of the same network where there is one; "-"
    where it was not measured (a phase of less than two print intervals, or of an earlier version).

    Args:
        found: label -> the results of all seeds.
    """
    seconds = {label: _median([arm.seconds_per_step for arm in runs]) for label, runs in found.items()}
    bases = {label: seconds.get(undistilled_arm(recipe, runs[0].network) or "") for label, runs in found.items()}
    return {
        "iterations": {
            label: " + ".join(f"{number:,}" for number in runs[0].iterations) for label, runs in found.items()
        },
        "cost per step": {label: _cost(value, bases[label]) for label, value in seconds.items()},
    }


def cost_note(recipe: TrainingRecipe) -> str:
    """The sentence that explains the columns."""
    found = [undistilled_arm(recipe, network) for network in recipe.networks]
    bases = " and ".join(label for label in found if label is not None)
    return f"{NOTE}, relative to {bases}.\n" if bases else f"{NOTE}.\n"


def remarks(found: Mapping[str, Sequence[FinishedArm]]) -> str:
    """A line for everything that did not go as the option file says: skipped steps, options changed on the way."""
    arms_of_seeds = [arm for runs in found.values() for arm in runs]
    lines = [f"- {arm.label}, seed {arm.seed}: {text}.\n" for arm in arms_of_seeds for text in arm.remarks]
    return "\n" + "".join(lines) if lines else ""


def undistilled_arm(recipe: TrainingRecipe, network: str) -> str | None:
    """Of the arms of a network that nobody teaches and that teach nobody: the baseline, or else the first."""
    needed = {name for phase in recipe.phases.values() for name in phase.needs}
    alone = []
    for label, phase in arms(recipe).items():
        options = recipe.phases[phase]
        taught = options.partner is not None or teacher_of(recipe, phase) is not None
        if options.trains == network and phase not in needed and not taught:
            alone.append(label)
    baseline = baseline_of(recipe)
    return baseline if baseline in alone else next(iter(alone), None)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _cost(seconds: float | None, base: float | None) -> str:
    if seconds is None:
        return "-"
    time = f"{1000 * seconds:.3g} ms" if seconds < 0.1 else f"{1000 * seconds:,.0f} ms"
    return f"{seconds / base:.2f} ({time})" if base else time
