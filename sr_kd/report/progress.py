"""How far a run is, and its curves: from the scalars that every phase logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean

from ..recipes.graph import phase_order
from ..training.scalars import FILE, read_scalars
from .data import Curve
from .run import Run

POINTS = 160  # of a curve on the page; more are averaged in groups
Logged = Mapping[tuple[str, int], Mapping[int, Mapping[str, float]]]


def read_logged(run: Run) -> Logged:
    """(phase, seed) -> iteration -> what was logged after it, in order."""
    found: dict[tuple[str, int], dict[int, dict[str, float]]] = {}
    for phase in phase_order(run.recipe):
        for seed in run.recipe.seeds:
            lines: dict[int, dict[str, float]] = {}
            for iteration, values in read_scalars(run.workspace.states(phase, seed).folder / FILE):
                lines.setdefault(iteration, {}).update(values)
            found[phase, seed] = dict(sorted(lines.items()))
    return found


def curves(logged: Logged, prefix: str = "") -> Iterator[Curve]:
    """Every logged value of every phase and seed; values that are not finite are left out."""
    for (phase, seed), lines in logged.items():
        series: dict[str, list[tuple[int, float]]] = {}
        for iteration, values in lines.items():
            for key, value in values.items():
                if math.isfinite(value):
                    series.setdefault(key, []).append((iteration, value))
        for key, points in series.items():
            step = -(-len(points) // POINTS)
            groups = [points[start : start + step] for start in range(0, len(points), step)]
            yield Curve(
                prefix + phase,
                seed,
                key,
                tuple(group[-1][0] for group in groups),
                tuple(fmean(value for _, value in group) for group in groups),
            )


def last_scores(lines: Mapping[int, Mapping[str, float]]) -> dict[tuple[str, str], float]:
    """(set, metric) -> value of the last validation."""
    found: dict[tuple[str, str], float] = {}
    for values in lines.values():
        for key, value in values.items():
            if key.startswith("metrics/"):
                name, _, metric = key.removeprefix("metrics/").rpartition("/")
                found[name, metric] = value
    return found
