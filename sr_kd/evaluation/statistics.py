"""How sure is a difference? Spread over seeds, and an interval over seeds and images together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from scipy.special import stdtrit

from ..errors import UsageError
from .scores import SetScore

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean difference over `seeds` runs and `images` images, with its 95 % interval.

    `low` and `high` are NaN where there is a single image of a single seed, which tells no spread.
    """

    mean: float
    low: float
    high: float
    images: int
    seeds: int


def mean_and_spread(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Of runs (seeds): the mean, and the sample standard deviation where there are several finite values.

    >>> mean_and_spread([32.0, 31.0, 33.0], 2), mean_and_spread([math.inf, math.inf], 2)
    (('32.00', '± 1.00'), ('inf', ''))
    """
    mean = fmean(values)
    several = len(values) > 1 and math.isfinite(mean)  # a PSNR may be infinite
    return f"{mean:.{digits}f}", f"± {stdev(values):.{digits}f}" if several else ""


def paired_difference(model: Sequence[SetScore], baseline: Sequence[SetScore], metric: str = "psnr") -> Difference:
    """How much larger a model's score is than a baseline's, on the same images.

    Args:
        model, baseline: the scores of one set, one per seed. Runs are paired in order (runs of one seed begin
            alike); a single run, such as bicubic, is compared with every run of the other.

    Images whose value is not finite in some run are left out.

    Raises:
        UsageError: different sets, protocols, images or numbers of seeds, or no image with finite values.
    """
    for score in (*model, *baseline):
        if (score.name, score.scale, score.protocol) != (model[0].name, model[0].scale, model[0].protocol):
            raise UsageError(f"cannot pair scores of {_title(model[0])} with scores of {_title(score)}")
        if [image.name for image in score.images] != [image.name for image in model[0].images]:
            raise UsageError(f"the two scores of {score.name} are not of the same images")
    if len(model) != len(baseline) and 1 not in (len(model), len(baseline)):
        raise UsageError(f"cannot pair {len(model)} runs with {len(baseline)}: the seeds must be the same")
    differences = _values(model, metric) - _values(baseline, metric)
    differences = differences[:, np.isfinite(differences).all(axis=0)]
    seeds, images = differences.shape
    if not images:
        raise UsageError(f"no image of {model[0].name} has a finite {metric} in both scores")
    return Difference(float(differences.mean()), *interval(differences), images, seeds)


def seed_difference(model: Sequence[float], baseline: Sequence[float]) -> Difference:
    """How much larger a model's scores are than a baseline's, of the same seeds in order; no images of their own."""
    differences = np.subtract(model, baseline)
    return Difference(float(differences.mean()), *interval(differences[:, None]), 0, len(differences))


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of a table, for other seeds and other images than these.

    Seeds and images are two crossed random effects. The half width is the root of the sum of two squares: of the t
    interval of the mean over images, and of that over seeds (each with its own degrees of freedom, so that two or
    three seeds do not look like many). With one seed this is the t interval over images, with one image that over
    seeds. What seed and image do together is in both terms: the interval is rather too wide than too narrow.

    Args:
        differences: (seeds, images).

    Returns:
        (low, high); NaN for a single value.

    >>> low, high = interval(np.array([[0.1, 0.2, 0.3]]))
    >>> round(low, 3), round(high, 3)
    (-0.048, 0.448)
    """
    means = [differences.mean(axis=axis) for axis in (0, 1)]
    errors = [
        stdtrit(len(values) - 1, (1 + LEVEL) / 2) * values.std(ddof=1) / math.sqrt(len(values))
        for values in means
        if len(values) > 1
    ]
    width = math.hypot(*errors) if errors else math.nan
    return float(differences.mean() - width), float(differences.mean() + width)


def ranked(values: Sequence[float | None], digits: int, higher_is_better: bool = True) -> list[str]:
    """ "best", "second" or "" for every value of a column; values that are shown alike share a place.

    >>> ranked([1.234, 1.2341, None, 1.2], 3)
    ['best', 'best', '', 'second']
    """
    known = sorted((value for value in values if value is not None and not math.isnan(value)), reverse=higher_is_better)
    order = list(dict.fromkeys(f"{value:.{digits}f}" for value in known))
    places = dict(zip(order, ("best", "second"), strict=False)) if len(order) > 1 else {}
    return ["" if value is None else places.get(f"{value:.{digits}f}", "") for value in values]


def interval_note(seeds: int) -> str:
    """What the intervals of a table mean, in a sentence."""
    if seeds == 1:
        return "Intervals: 95 %, t over the images. One seed: training noise is not included."
    return f"Intervals: 95 %, over {seeds} seeds and the images together (t intervals of both, squares added)."


def _values(runs: Sequence[SetScore], metric: str) -> np.ndarray:
    """(runs, images), NaN where it was not measured or is not finite."""
    table = np.array([[image.values.get(metric, math.nan) for image in run.images] for run in runs], dtype=np.float64)
    return np.where(np.isfinite(table), table, math.nan)


def _title(score: SetScore) -> str:
    return f"{score.name} x{score.scale} {score.protocol}"
