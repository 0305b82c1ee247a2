"""The comparison of a run's arms: every network measured again, one table, its numbers, and a montage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...evaluation.benchmark import score_network
from ...evaluation.montage import compare_visually
from ...evaluation.scores import SetScore
from ...evaluation.tables import comparison_table, difference_table, json_result
from ...files import write_text
from ...images import Image, write_image
from ...imaging.upscaler import Upscaler
from ...networks.base import SRNetwork
from ...networks.files import load_network
from ..base import FinishedArms

BICUBIC = "bicubic"


def write_comparison(run: FinishedArms) -> list[Path]:
    """Measure bicubic and every arm's networks on the validation sets; writes table, results and montage."""
    scale = run.recipe.scale
    shown = {BICUBIC: Upscaler(None, scale=scale, device=run.device)}
    scores: dict[str, list[list[SetScore]]] = {BICUBIC: [_score(run, shown[BICUBIC])]}
    objects = [json_result(BICUBIC, scores[BICUBIC][0]) | {"run": 0}]
    for label, arms in run.arms.items():
        for number, arm in enumerate(arms):
            network = load_network(arm.file, any_type=True).network
            if not isinstance(network, SRNetwork):
                continue
            upscaler = Upscaler(network, scale=scale, device=run.device)
            shown.setdefault(label, upscaler)
            scores.setdefault(label, []).append(_score(run, upscaler))
            objects.append(json_result(label, scores[label][-1]) | {"run": number} | arm.cost)
    table, results, montage = (run.folder / name for name in ("table.md", "results.json", "montage.png"))
    write_text(table, _tables(run, scores))
    write_text(results, json.dumps(objects, indent=2))
    images, _ = run.data.validation.with_protocols()[0]
    write_image(montage, Image(compare_visually(shown, images)))
    return [table, results, montage]


def _tables(run: FinishedArms, scores: Mapping[str, Sequence[Sequence[SetScore]]]) -> str:
    """Scores (over seeds where there are several), costs, and differences from the baseline: an arm, or bicubic."""
    baseline = run.baseline or BICUBIC
    baseline = baseline if baseline in scores else BICUBIC
    table = comparison_table(scores, run.command, run.columns)
    return f"# {run.recipe.name}\n\n{table}\n{run.note}\n{difference_table(scores, baseline)}"


def _score(run: FinishedArms, upscaler: Upscaler) -> list[SetScore]:
    return [
        score_network(upscaler, images, protocol=protocol, metrics=run.recipe.val.metrics, quiet=run.quiet)
        for images, protocol in run.data.validation.with_protocols()
    ]
