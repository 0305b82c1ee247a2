"""What a super-resolution asks of its networks and sets, and a test of its models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...config.origin import KeyPath, Problem
from ...errors import UsageError, nearest
from ...evaluation.metrics import find_metrics
from ...evaluation.protocols import find_protocol
from ...networks.base import SRNetwork
from ...networks.state_files import SUFFIXES
from ...zoo.manifest import shipped_models
from ..base import Networks
from .options import EvaluationSet, SuperResolutionRecipe, TestRecipe


def super_resolution_problems(recipe: SuperResolutionRecipe, networks: Networks) -> Iterator[Problem]:
    """A patch size, metrics and protocols that do not fit the scale, the networks or the sets."""
    if recipe.train.gt_size % recipe.scale:
        near = recipe.train.gt_size - recipe.train.gt_size % recipe.scale or recipe.scale
        yield ("train", "gt_size"), f"is {recipe.train.gt_size}, no multiple of the scale {recipe.scale}; try {near}"
    for name, phase in recipe.phases.items():
        if phase.targets == "hr" and recipe.train.dataroot_gt is None:
            problem = "is 'hr', but 'dataroot_gt' names no HR: take the images of a 'teacher', made here or stored by"
            yield ("phases", name, "targets"), f"{problem} sr-kd label -n TEACHER -i IMAGES -o LABELS"
        if phase.targets == "teacher" and recipe.train.degradation is not None:
            problem = "is 'teacher', whose images are made once, but 'degradation' makes other LR patches every time"
            yield ("phases", name, "targets"), problem
    named = {name for phase in recipe.phases.values() for name in (phase.trains, phase.partner)}
    trained = [network for name, network in networks.items() if name in named and isinstance(network, SRNetwork)]
    rgb = sorted({type(network).__name__ for network in trained if network.color == "rgb"})
    for index, images in enumerate(recipe.validation_sets):
        if images.protocol == "yfloat" and rgb:
            problem = f"is 'yfloat', which needs Y networks; {rgb[0]} is RGB: use rgb8"
            yield ("validation_sets", index, "protocol"), problem
    yield from _metric_problems(recipe.val.metrics, recipe.validation_sets, ("val", "metrics"))
    yield from _lr_problems("validation_sets", recipe.validation_sets)


def test_problems(recipe: TestRecipe) -> Iterator[Problem]:
    """A test without models or sets, with missing files, or with LR files that its protocol does not look at."""
    yield from _lr_problems("sets", recipe.sets)
    yield from _metric_problems(recipe.metrics, recipe.sets, ("metrics",))
    if recipe.baseline is not None and recipe.baseline not in recipe.models:
        problem = f"names no model: '{recipe.baseline}'{nearest(recipe.baseline, recipe.models)}"
        yield ("baseline",), f"{problem}; known: {', '.join(recipe.models) or 'none'}"
    shipped = [*shipped_models(), "bicubic"]
    for label, model in recipe.models.items():
        if model in shipped or Path(model).is_file():
            continue
        problem = f"names a file that does not exist: {model}"
        if Path(model).suffix not in SUFFIXES:
            problem = f"names no model and no file: '{model}'{nearest(model, shipped)}; models: {', '.join(shipped)}"
        yield ("models", label), problem
    if not recipe.models:
        yield ("models",), "is empty: nothing would be measured"
    if not recipe.sets:
        yield ("sets",), "is empty: nothing to measure on"


def _metric_problems(names: Sequence[str], sets: Sequence[EvaluationSet], key: KeyPath) -> Iterator[Problem]:
    """Metrics that are not registered, lack a package or a file, or do not fit a set's protocol."""
    protocols = {images.protocol for images in sets} or {"rgb"}
    for index, name in enumerate(names):
        try:
            for protocol in protocols:
                find_metrics([name], find_protocol(protocol).measures)
        except UsageError as error:
            yield (*key, index), f"is refused: {error}"


def _lr_problems(key: str, sets: Sequence[EvaluationSet]) -> Iterator[Problem]:
    """Sets with LR files under the protocol that makes LR itself."""
    for index, options in enumerate(sets):
        if options.protocol == "yfloat" and options.dataroot_lq is not None:
            problem = "is 'yfloat', which makes LR from the Y of HR: leave 'dataroot_lq' out, or use rgb8"
            yield (key, index, "protocol"), problem
