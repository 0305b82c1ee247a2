"""The comparison of a finished recipe's arms: one table, its numbers, and a montage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..config.schema import TrainingRecipe
from ..evaluation.benchmark import SetScore, score_network
from ..evaluation.montage import compare_visually
from ..evaluation.tables import comparison_table, difference_table, json_result
from ..files import write_text
from ..images import Image, write_image
from ..imaging.upscaler import Upscaler
from ..networks.base import SRNetwork
from ..networks.files import load_network
from ..tasks.super_resolution.data import open_evaluation_set
from ..tasks.super_resolution.options import SuperResolutionRecipe
from .accuracy_report import write_accuracies
from .cost import arm_cost, cost_columns, cost_note, remarks
from .graph import baseline_of
from .workspace import FinishedArm, Workspace, finished_arms

BICUBIC = "bicubic"


def write_report(
    recipe: TrainingRecipe, workspace: Workspace, device: torch.device, command: str, quiet: bool = False
) -> list[Path]:
    """Compare the results of every arm and seed on the validation sets.

    Args:
        command: the command line that made the results, printed below the table.

    Returns:
        The files written in ``results/NAME``: table.md, results.json and, for super-resolution, montage.png.

    Raises:
        SrKdError: an arm that is not finished.
    """
    if not recipe.validation_sets:
        return []
    if isinstance(recipe, SuperResolutionRecipe):
        return _write_comparison(recipe, workspace, device, command, quiet)
    return write_accuracies(recipe, workspace, command)


def _write_comparison(
    recipe: SuperResolutionRecipe, workspace: Workspace, device: torch.device, command: str, quiet: bool
) -> list[Path]:
    """Measure bicubic and every arm's networks again."""
    shown = {BICUBIC: Upscaler(None, scale=recipe.scale, device=device)}
    scores: dict[str, list[list[SetScore]]] = {BICUBIC: [_score(recipe, shown[BICUBIC], quiet)]}
    found: dict[str, list[FinishedArm]] = {}
    for arm in finished_arms(workspace):
        network = load_network(arm.file).network
        if not isinstance(network, SRNetwork):
            continue
        upscaler = Upscaler(network, scale=recipe.scale, device=device)
        shown.setdefault(arm.label, upscaler)
        scores.setdefault(arm.label, []).append(_score(recipe, upscaler, quiet))
        found.setdefault(arm.label, []).append(arm)
    table, results, montage = (workspace.results / name for name in ("table.md", "results.json", "montage.png"))
    write_text(table, _tables(recipe, scores, found, command))
    runs = [
        json_result(label, one) | {"run": number} | (arm_cost(found[label][number]) if label in found else {})
        for label, all_ in scores.items()
        for number, one in enumerate(all_)
    ]
    write_text(results, json.dumps(runs, indent=2))
    images = open_evaluation_set(recipe.validation_sets[0], recipe.scale)
    write_image(montage, Image(compare_visually(shown, images)))
    return [table, results, montage]


def _tables(
    recipe: SuperResolutionRecipe,
    scores: Mapping[str, Sequence[Sequence[SetScore]]],
    found: Mapping[str, Sequence[FinishedArm]],
    command: str,
) -> str:
    """Scores (over seeds where there are several), costs, and differences from the baseline: an arm, or bicubic."""
    table = comparison_table(scores, command, cost_columns(recipe, found))
    baseline = baseline_of(recipe)
    differences = difference_table(scores, baseline if baseline is not None and baseline in scores else BICUBIC)
    return f"# {recipe.name}\n\n{table}\n{cost_note(recipe)}{remarks(found)}\n{differences}"


def _score(recipe: SuperResolutionRecipe, upscaler: Upscaler, quiet: bool) -> list[SetScore]:
    return [
        score_network(
            upscaler,
            open_evaluation_set(options, recipe.scale),
            protocol=options.protocol,
            metrics=recipe.val.metrics,
            quiet=quiet,
        )
        for options in recipe.validation_sets
    ]
