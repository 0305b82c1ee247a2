"""Several models on several sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from ..data.image_set import ImageSet
from ..errors import SrKdError
from ..imaging.load import load_model
from ..imaging.upscaler import Upscaler
from .benchmark import check_measurable, score_network
from .metrics import STANDARD
from .scores import SetScore

KeepImage = Callable[[str, ImageSet, str, np.ndarray], None]


@dataclass(frozen=True)
class TestSet:
    """Images and the protocol they are measured by."""

    __test__ = False  # for pytest, which would collect the name

    images: ImageSet
    protocol: str = "rgb8"


def load_models(models: Mapping[str, str], scale: int, **options: Any) -> dict[str, Upscaler]:
    """Every model by its label. Options and errors as in `imaging.load.load_model`."""
    return {label: load_model(name, scale=scale, **options) for label, name in models.items()}


def measure(
    models: Mapping[str, Upscaler],
    sets: Sequence[TestSet],
    *,
    metrics: Sequence[str] = STANDARD,
    quiet: bool = True,
    keep: KeepImage | None = None,
) -> dict[str, list[SetScore]]:
    """The scores of every model on every set; what cannot be measured is refused before any work.

    Args:
        models: by label; all of one scale, that of the sets.
        sets: in the order of the results.
        metrics: names in `evaluation.metrics.METRICS`.
        quiet: no progress bars.
        keep: called with (label, set, image name, result as (H, W, C) uint8) for every image.

    Raises:
        UsageError: a model or metric that a protocol cannot measure, an unknown metric, a scale that does not fit.
        SrKdError: an image that cannot be read or compared; the message names the model.
    """
    for upscaler, each in product(models.values(), sets):
        check_measurable(upscaler, each.images, each.protocol, metrics)
    results: dict[str, list[SetScore]] = {}
    for label, upscaler in models.items():
        results[label] = []
        for each in sets:
            try:
                score = score_network(
                    upscaler,
                    each.images,
                    protocol=each.protocol,
                    metrics=metrics,
                    quiet=quiet,
                    keep=None if keep is None else partial(keep, label, each.images),
                )
            except SrKdError as error:
                raise type(error)(f"{label} on {each.images.name}: {error}") from None
            results[label].append(score)
    return results
