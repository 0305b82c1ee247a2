"""Scores and differences: from the results of a finished run, or from the last validations of one that goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import SrKdError, UsageError
from ..evaluation.metrics import METRICS
from ..evaluation.scores import ImageScore, SetScore
from ..evaluation.statistics import paired_difference, seed_difference
from ..files import read_json
from ..recipes.graph import arms
from ..tasks import TASKS
from .data import Comparison, ReportedMetric, Score
from .progress import Logged, last_scores
from .run import Run

SetScores = Mapping[str, Sequence[Sequence[SetScore]]]  # label -> seed -> set


def find_metrics(run: Run) -> list[ReportedMetric]:
    """What the run validates, with how it is written."""
    return [_metric(key, TASKS.get(run.recipe.task).metrics) for key in run.recipe.val.metrics]


def read_results(run: Run) -> dict[str, list[list[SetScore]]]:
    """Label -> per seed, the scores of every set and image, of ``results/NAME/results.json``.

    Raises:
        SrKdError: the file is damaged or of another recipe.
    """
    path = run.workspace.results / "results.json"
    found: dict[str, list[list[SetScore]]] = {}
    try:
        for entry in read_json(path, list[dict[str, Any]]):
            protocols = [options.protocol for options in run.recipe.validation_sets]  # type: ignore[attr-defined]
            sets = [_set_score(one, entry["scale"], rule) for one, rule in zip(entry["sets"], protocols, strict=True)]
            found.setdefault(entry["model"], []).append(sets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SrKdError(f"{path} is damaged, or of another recipe; remove it and run sr-kd report again") from None
    return found


def image_scores(results: SetScores, metrics: Sequence[ReportedMetric]) -> list[Score]:
    """Every label's mean per seed, and every image's mean over the seeds."""
    scores = []
    for label, runs in results.items():
        for of_set in zip(*runs, strict=True):
            for metric in metrics:
                means = tuple(score.mean(metric.key) for score in of_set)
                images = _image_means(of_set, metric.key)
                scores.append(Score(label, of_set[0].name, metric.key, means, images))
    return scores


def image_differences(results: SetScores, baseline: str, metrics: Sequence[ReportedMetric]) -> list[Comparison]:
    """Every other label minus the baseline, on every set and by every metric, over images and seeds."""
    bases = {of_set[0].name: of_set for of_set in zip(*results[baseline], strict=True)}
    found = []
    for label, runs in results.items():
        for of_set in zip(*runs, strict=True) if label != baseline else ():
            name = of_set[0].name
            for metric in metrics if name in bases else ():
                try:
                    one = paired_difference(of_set, bases[name], metric.key)
                except UsageError:  # other images or seeds, or all images identical to HR
                    continue
                found.append(Comparison(**vars(one), model=label, baseline=baseline, test_set=name, metric=metric.key))
    return found


def seed_differences(scores: Sequence[Score], baseline: str) -> list[Comparison]:
    """Every other label minus the baseline over paired seeds; nothing of a single seed."""
    bases = {(score.test_set, score.metric): score for score in scores if score.model == baseline}
    found = []
    for score in scores:
        base = bases.get((score.test_set, score.metric))
        if score.model == baseline or base is None or not 1 < len(score.runs) == len(base.runs):
            continue
        one = seed_difference(score.runs, base.runs)
        found.append(
            Comparison(**vars(one), model=score.model, baseline=baseline, test_set=score.test_set, metric=score.metric)
        )
    return found


def validation_scores(run: Run, logged: Logged, prefix: str = "") -> list[Score]:
    """The last validation of every arm: of its end, or of where it is now."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for label, phase in arms(run.recipe).items():
        for seed in run.recipe.seeds:
            result = run.workspace.result(phase, seed)
            if result is None:
                last = last_scores(logged[phase, seed])
            else:
                last = {(name, key): value for name, row in result["scores"].items() for key, value in row.items()}
                for name, row in result.get("partner", {}).items():
                    for key, value in row.items():
                        found.setdefault((f"{label} (partner)", name, key), []).append(value)
            for (name, key), value in last.items():
                found.setdefault((label, name, key), []).append(value)
    return [Score(prefix + label, name, key, tuple(values)) for (label, name, key), values in found.items()]


def _metric(key: str, of_task: Mapping[str, str]) -> ReportedMetric:
    """A metric of the task itself ("Top-1 accuracy in percent"), or else a registered one of images."""
    if key in of_task:
        title = of_task[key].partition(",")[0].removesuffix(" in percent")
        return ReportedMetric(key, title, "%" if of_task[key].endswith("in percent") else "", 2)
    known = METRICS.get(key)
    return ReportedMetric(key, known.title, known.unit, known.decimals, known.higher_is_better)


def _set_score(entry: Mapping[str, Any], scale: int, protocol: str) -> SetScore:
    images = [
        ImageScore(
            one["name"],
            {key: math.nan if value is None else float(value) for key, value in one.items() if key != "name"},
        )
        for one in entry["images"]
    ]
    return SetScore(entry["name"], scale, protocol, tuple(images))


def _image_means(runs: Sequence[SetScore], metric: str) -> tuple[float | None, ...]:
    """Every image's mean over the seeds; None where it is not finite in one."""
    table = np.array([[image.values.get(metric, math.nan) for image in run.images] for run in runs])
    return tuple(float(value) if np.isfinite(value) else None for value in table.mean(axis=0))
