"""The comparison of a finished recipe's arms."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from ..tasks import TASKS
from ..tasks.base import FinishedArm, FinishedArms, TaskData
from .cost import cost_columns, cost_note, remarks
from .graph import baseline_of
from .workspace import Workspace, finished_arms


def write_report(
    workspace: Workspace, data: TaskData, device: torch.device, command: str, quiet: bool = False
) -> list[Path]:
    """Compare the results of every arm and seed on the validation sets.

    Args:
        data: the recipe's sets, as opened for the run.
        command: the command line that made the results, printed below the table.

    Returns:
        The files written in ``results/NAME``: table.md, results.json and, for super-resolution, montage.png.

    Raises:
        SrKdError: an arm that is not finished.
    """
    recipe = workspace.recipe
    if not recipe.validation_sets:
        return []
    found: dict[str, list[FinishedArm]] = {}
    for arm in finished_arms(workspace):
        found.setdefault(arm.label, []).append(arm)
    run = FinishedArms(
        recipe,
        found,
        data,
        baseline_of(recipe),
        cost_columns(recipe, found),
        cost_note(recipe) + remarks(found),
        workspace.results,
        device,
        command,
        quiet,
    )
    return TASKS.get(recipe.task).report(run)


def describe_arms(arms: Iterable[FinishedArm]) -> list[str]:
    """A line for each seed of each arm: the scores of its last validation, and its network's file."""
    lines = []
    for arm in arms:
        scores = [f"{name} {metric} {value:.4f}" for name, row in arm.scores.items() for metric, value in row.items()]
        lines.append(f"{arm.label}, seed {arm.seed}: {', '.join([*scores, str(arm.file)])}")
    return lines
