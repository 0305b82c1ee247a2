"""The image sets behind the options: there, readable, fitting, and told apart by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..data.patches import check_patch_size
from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError, nearest
from ..zoo.manifest import shipped_models
from .build import open_evaluation_set, open_training_set
from .datasets import EvaluationSet
from .origin import KeyPath
from .schema import SuperResolutionRecipe, TestRecipe, TrainingRecipe

Problem = tuple[KeyPath, str]
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


def check_test_recipe(recipe: TestRecipe, *, data: bool = True) -> None:
    """Refuse a test without models, with missing files, or (`data`) sets that cannot be read. Raises UsageError."""
    problems = [*(set_problems(recipe) if data else []), *lr_problems("sets", recipe.sets)]
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


def refuse(recipe: TrainingRecipe | TestRecipe, problems: Sequence[Problem]) -> None:
    """Raise the problems as one UsageError, a line each; none, no error."""
    if problems:
        raise UsageError(recipe.origin.report(problems))


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
