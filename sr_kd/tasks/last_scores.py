"""The comparison of a run's arms by their last validation: over seeds, and with the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from ..evaluation.statistics import seed_difference
from ..evaluation.tables import markdown_table
from ..files import write_text
from . import TASKS
from .base import FinishedArms

SeedScores = Mapping[str, Mapping[str, Sequence[float]]]  # arm -> set (and metric, if there are several) -> per seed


def write_table(run: FinishedArms) -> list[Path]:
    """Write ``table.md`` and ``results.json`` of every arm's last validation."""
    metrics, titles = run.recipe.val.metrics, TASKS.get(run.recipe.task).metrics
    found: dict[str, dict[str, list[float]]] = {}
    for label, arms in run.arms.items():
        for name, values in [item for arm in arms for item in arm.scores.items()]:
            for metric in metrics:
                column = name if len(metrics) == 1 else f"{name} {titles.get(metric, metric).partition(',')[0]}"
                found.setdefault(label, {}).setdefault(column, []).append(values[metric])
    table, results = run.folder / "table.md", run.folder / "results.json"
    what = " and ".join(titles.get(metric, metric) for metric in metrics)
    text = scores_table(found, run.baseline, run.columns, what)
    write_text(table, f"# {run.recipe.name}\n\n{text}\n{run.note}\nCommand: `{run.command}`\n")
    costs = {label: [arm.cost for arm in arms] for label, arms in run.arms.items()}
    content = {"metrics": metrics, "seeds": run.recipe.seeds, "arms": found, "costs": costs}
    write_text(results, json.dumps(content, indent=2))
    return [table, results]


def scores_table(
    found: SeedScores,
    baseline: str | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
    what: str = "Scores",
) -> str:
    """One row per arm, mean ± sample standard deviation over seeds; with a baseline, the gain over it.

    The gain is taken seed by seed, because arms of one seed begin with the same weights; its interval is that of a
    paired t test over the seeds. `more` are further columns, header -> label -> cell; `what` names the metrics.
    """
    names = list(next(iter(found.values())))
    compared = baseline in found and len(found) > 1
    columns = [column for name in names for column in ([name, f"{name}, minus {baseline}"] if compared else [name])]
    more = more or {}
    columns += more
    rows = []
    for label, sets in found.items():
        cells = []
        for name in names:
            cells.append(_spread(sets[name]))
            if compared:
                cells.append("" if label == baseline else _gain(sets[name], found[str(baseline)][name]))
        cells += [column[label] for column in more.values()]
        rows.append([label, *cells])
    seeds = len(next(iter(next(iter(found.values())).values())))
    note = f"{what} at the last iteration, {seeds} seed(s)."
    if compared:
        note += (
            " One seed: training noise is not included."
            if seeds == 1
            else " Differences: 95 % t interval over the seeds."
        )
    return "\n".join([*markdown_table(["model", *columns], rows), "", note, ""])


def _gain(values: Sequence[float], base: Sequence[float]) -> str:
    """``+0.53 (+0.11 to +0.95)``; without an interval for one seed."""
    gain = seed_difference(values, base)
    return f"{gain.mean:+.2f}" if gain.seeds == 1 else f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})"


def _spread(values: Sequence[float]) -> str:
    text = f"{mean(values):.2f}"
    return text if len(values) == 1 else f"{text} ± {stdev(values):.2f}"
