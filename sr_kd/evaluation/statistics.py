"""How sure is a difference? Spread over seeds, and an interval over images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Literal

import numpy as np

from ..errors import UsageError
from .scores import SetScore

Metric = Literal["psnr", "ssim"]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a set's score over runs (seeds); 0.0 for a single run."""

    mean: float
    deviation: float
    runs: int


@dataclass(frozen=True)
class Difference:
    """Mean paired difference over `images` images, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    images: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def spread(scores: Sequence[SetScore], metric: Metric = "psnr") -> Spread:
    """The spread of one set's score over several runs of a recipe.

    Raises:
        UsageError: no scores, of different sets or protocols, or not measured.
    """
    if len({(score.name, score.scale, score.protocol) for score in scores}) != 1:
        raise UsageError("a spread needs scores of one set under one protocol")
    values = [getattr(score, metric) for score in scores]
    if None in values:
        raise UsageError(f"{metric} of {scores[0].name} was not measured")
    deviation = stdev(values) if len(values) > 1 and math.isfinite(sum(values)) else 0.0
    return Spread(sum(values) / len(values), deviation, len(values))


def paired_difference(
    model: SetScore, baseline: SetScore, metric: Metric = "psnr", *, seed: int = 0, resamples: int = 10_000
) -> Difference:
    """How much better a model is than a baseline on the same images.

    The images are drawn again with replacement (percentile bootstrap), so the interval says how far
    the mean depends on the choice of images. Images without a finite score in both are left out.

    Args:
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many times the set is drawn again.

    Raises:
        UsageError: different sets, protocols or images, or none with a finite score.
    """
    if (model.name, model.scale, model.protocol) != (baseline.name, baseline.scale, baseline.protocol):
        raise UsageError(f"cannot pair scores of {_title(model)} with scores of {_title(baseline)}")
    if [image.name for image in model.images] != [image.name for image in baseline.images]:
        raise UsageError(f"the two scores of {model.name} are not of the same images")
    pairs = [(getattr(a, metric), getattr(b, metric)) for a, b in zip(model.images, baseline.images, strict=True)]
    differences = np.array([a - b for a, b in pairs if _is_finite(a) and _is_finite(b)], dtype=np.float64)
    if not len(differences):
        raise UsageError(f"no image of {model.name} has a finite {metric} in both scores")
    draws = np.random.Generator(np.random.Philox(seed)).integers(len(differences), size=(resamples, len(differences)))
    low, high = np.quantile(differences[draws].mean(axis=1), (0.025, 0.975))
    return Difference(float(differences.mean()), float(low), float(high), len(differences))


def _title(score: SetScore) -> str:
    return f"{score.name} x{score.scale} {score.protocol}"


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
