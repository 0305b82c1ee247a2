"""The image sets behind the options: there, readable, fitting, and told apart by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import nn

from ...config.origin import KeyPath, Problem
from ...config.schema import refuse
from ...data.patches import check_patch_size
from ...data.sets import ImageSet
from ...errors import SrKdError, UsageError, nearest
from ...evaluation.metrics import find_metrics
from ...evaluation.protocols import find_protocol
from ...networks.base import SRNetwork
from ...zoo.manifest import shipped_models
from .data import open_evaluation_set, open_training_set
from .options import EvaluationSet, SuperResolutionRecipe, TestRecipe

SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")


def set_problems(recipe: SuperResolutionRecipe | TestRecipe) -> Iterator[Problem]:
    """Open every set (headers alone are read); what is wrong with it comes back with its place."""
    if isinstance(recipe, TestRecipe):
        yield from _problems_of_sets("sets", recipe.sets, recipe.scale)
        return

    def open_for_training() -> ImageSet:
        images = open_training_set(recipe)
        check_patch_size(images, recipe.train.gt_size)
        return images

    yield from _tried(("train",), open_for_training, [])
    yield from _problems_of_sets("validation_sets", recipe.validation_sets, recipe.scale)


def super_resolution_problems(recipe: SuperResolutionRecipe, networks: Mapping[str, nn.Module]) -> Iterator[Problem]:
    """Networks of another task, and protocols that do not fit the networks or the sets."""
    for name, network in networks.items():
        task = getattr(network, "task", recipe.task)
        if task != recipe.task:
            yield ("networks", name, "type"), f"is '{recipe.networks[name].type}': it is for 'task: {task}'"
    named = [name for phase in recipe.phases.values() for name in (phase.trains, phase.partner) if name is not None]
    trained = [networks[name] for name in named]
    rgb = sorted(
        {type(network).__name__ for network in trained if isinstance(network, SRNetwork) and network.color == "rgb"}
    )
    yield from metric_problems(recipe.val.metrics, recipe.validation_sets, ("val", "metrics"))
    for index, images in enumerate(recipe.validation_sets):
        if images.protocol == "yfloat" and rgb:
            yield (
                ("validation_sets", index, "protocol"),
                f"is 'yfloat', which needs Y networks; {rgb[0]} is RGB: use rgb8",
            )
    yield from lr_problems("validation_sets", recipe.validation_sets)


def check_test_recipe(recipe: TestRecipe, *, data: bool = True) -> None:
    """Refuse a test without models, with missing files, or (`data`) sets that cannot be read. Raises UsageError."""
    problems = [*(set_problems(recipe) if data else []), *lr_problems("sets", recipe.sets)]
    problems += metric_problems(recipe.metrics, recipe.sets, ("metrics",))
    if recipe.baseline is not None and recipe.baseline not in recipe.models:
        problem = f"names no model: '{recipe.baseline}'{nearest(recipe.baseline, recipe.models)}"
        problems.append((("baseline",), f"{problem}; known: {', '.join(recipe.models) or 'none'}"))
    shipped = [*shipped_models(), "bicubic"]
    for label, model in recipe.models.items():
        if model in shipped or Path(model).is_file():
            continue
        problem = f"names a file that does not exist: {model}"
        if Path(model).suffix not in SUFFIXES:
            problem = f"names no model and no file: '{model}'{nearest(model, shipped)}; models: {', '.join(shipped)}"
        problems.append((("models", label), problem))
    if not recipe.models:
        problems.append((("models",), "is empty: nothing would be measured"))
    if not recipe.sets:
        problems.append((("sets",), "is empty: nothing to measure on"))
    refuse(recipe, problems)


def lr_problems(key: str, sets: Sequence[EvaluationSet]) -> Iterator[Problem]:
    """Sets with LR files under the protocol that makes LR itself."""
    for index, options in enumerate(sets):
        if options.protocol == "yfloat" and options.dataroot_lq is not None:
            problem = "is 'yfloat', which makes LR from the Y of HR: leave 'dataroot_lq' out, or use rgb8"
            yield (key, index, "protocol"), problem


def metric_problems(names: Sequence[str], sets: Sequence[EvaluationSet], key: KeyPath) -> Iterator[Problem]:
    """Metrics that are not registered, lack a package or a file, or do not fit a set's protocol."""
    protocols = {images.protocol for images in sets} or {"rgb"}
    for index, name in enumerate(names):
        try:
            for protocol in protocols:
                find_metrics([name], find_protocol(protocol).measures)
        except UsageError as error:
            yield (*key, index), f"is refused: {error}"


def _problems_of_sets(key: str, sets: Sequence[EvaluationSet], scale: int) -> Iterator[Problem]:
    opened: list[ImageSet] = []
    for index, options in enumerate(sets):
        yield from _tried((key, index), lambda options=options: open_evaluation_set(options, scale), opened)  # type: ignore[misc]
    names = [images.name for images in opened]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield (key,), f"has {names.count(name)} sets called '{name}': give each its own 'name'"


def _tried(path: KeyPath, function: Callable[[], ImageSet], opened: list[ImageSet]) -> Iterator[Problem]:
    try:
        opened.append(function())
    except SrKdError as error:
        yield path, f"cannot be used: {error}"
