"""The comparison of a finished recipe's arms: one table, its numbers, and a montage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from ..archs.base import SRNetwork
from ..config.build import open_evaluation_set
from ..config.schema import Recipe
from ..errors import SrKdError
from ..evaluation.benchmark import SetScore, score_network
from ..evaluation.montage import write_montage
from ..evaluation.tables import comparison_table, results_json
from ..files import write_text
from .run import finished_network
from .workspace import Workspace, arms


def write_report(recipe: Recipe, workspace: Workspace, device: torch.device, quiet: bool = False) -> list[Path]:
    """Measure bicubic and the result of every arm and seed on the validation sets.

    Returns:
        The files written in ``results/NAME``: table.md, results.json and montage.png.

    Raises:
        SrKdError: an arm that is not finished.
    """
    if recipe.task != "super_resolution" or not recipe.validation_sets:
        return []
    scores: dict[str, list[list[SetScore]]] = {"bicubic": [_score(recipe, None, device, quiet)]}
    shown: dict[str, SRNetwork | None] = {"bicubic": None}
    for label, phase in arms(recipe).items():
        for seed in recipe.seeds:
            if workspace.result(phase, seed) is None:
                raise SrKdError(f"{workspace.run_name(phase, seed)} is not finished; run the recipe with --auto_resume")
            network = finished_network(workspace, phase, seed)
            if not isinstance(network, SRNetwork):
                continue
            network.to(device)
            shown.setdefault(label, network)
            scores.setdefault(label, []).append(_score(recipe, network, device, quiet))
    return []


def _score(recipe: Recipe, network: SRNetwork | None, device: torch.device, quiet: bool) -> list[SetScore]:
    return [
        score_network(
            network,
            open_evaluation_set(options, recipe.scale),
            scale=recipe.scale,
            protocol=options.protocol,
            device=device,
            quiet=quiet,
        )
        for options in recipe.validation_sets
    ]
