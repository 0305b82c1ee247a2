"""The comparison of the arms of a finished classification or detection: over seeds, and with the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from ..config.schema import TrainingRecipe
from ..evaluation.statistics import interval
from ..files import write_text
from .cost import arm_cost, cost_columns, cost_note, remarks
from .graph import baseline_of
from .workspace import FinishedArm, Workspace, finished_arms

Accuracies = Mapping[str, Mapping[str, Sequence[float]]]  # arm -> set (and metric, if there are several) -> per seed
SHORT = {"top1": "top-1", "map": "mAP", "map50": "mAP50"}
TITLES = {
    "top1": "Top-1 accuracy",
    "map": "mAP, mean average precision over IoU 0.5 to 0.95,",
    "map50": "mAP50, average precision at IoU 0.5,",
}


def write_accuracies(recipe: TrainingRecipe, workspace: Workspace, command: str) -> list[Path]:
    """Write ``results/NAME/table.md`` and ``results.json`` of every arm's last validation.

    Raises:
        SrKdError: an arm that is not finished.
    """
    found: dict[str, dict[str, list[float]]] = {}
    metrics = recipe.val.metrics
    runs: dict[str, list[FinishedArm]] = {}
    for arm in finished_arms(workspace):
        runs.setdefault(arm.label, []).append(arm)
        for name, values in arm.scores.items():
            for metric in metrics:
                column = name if len(metrics) == 1 else f"{name} {SHORT[metric]}"
                found.setdefault(arm.label, {}).setdefault(column, []).append(values[metric])
    table, results = workspace.results / "table.md", workspace.results / "results.json"
    what = " and ".join(TITLES[metric] for metric in metrics)
    text = accuracy_table(found, baseline_of(recipe), cost_columns(recipe, runs), what)
    write_text(table, f"# {recipe.name}\n\n{text}\n{cost_note(recipe)}{remarks(runs)}\nCommand: `{command}`\n")
    costs = {label: [arm_cost(arm) for arm in of_arm] for label, of_arm in runs.items()}
    content = {"metrics": metrics, "seeds": recipe.seeds, "arms": found, "costs": costs}
    write_text(results, json.dumps(content, indent=2))
    return [table, results]


def accuracy_table(
    found: Accuracies,
    baseline: str | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
    what: str = TITLES["top1"],
) -> str:
    """One row per arm, mean ± sample standard deviation over seeds; with a baseline, the gain over it.

    The gain is taken seed by seed, because arms of one seed begin with the same weights; its interval is that of a
    paired t test over the seeds. `more` are further columns, header -> label -> cell.
    """
    names = list(next(iter(found.values())))
    compared = baseline in found and len(found) > 1
    columns = [column for name in names for column in ([name, f"{name}, minus {baseline}"] if compared else [name])]
    more = more or {}
    columns += more
    lines = ["| model | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for label, sets in found.items():
        cells = []
        for name in names:
            cells.append(_spread(sets[name]))
            if compared:
                cells.append("" if label == baseline else _gain(sets[name], found[str(baseline)][name]))
        cells += [column[label] for column in more.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    seeds = len(next(iter(next(iter(found.values())).values())))
    note = f"{what} in percent at the last iteration, {seeds} seed(s)."
    if compared:
        note += (
            " One seed: training noise is not included."
            if seeds == 1
            else " Differences: 95 % t interval over the seeds."
        )
    return "\n".join([*lines, "", note, ""])


def _gain(values: Sequence[float], base: Sequence[float]) -> str:
    """``+0.53 (+0.11 to +0.95)``; without an interval for one seed."""
    gains = np.subtract(values, base)
    low, high = interval(gains[:, None])
    return f"{gains.mean():+.2f}" if len(gains) == 1 else f"{gains.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def _spread(values: Sequence[float]) -> str:
    text = f"{mean(values):.2f}"
    return text if len(values) == 1 else f"{text} ± {stdev(values):.2f}"
