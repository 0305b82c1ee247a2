"""What an option file would run, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from ..config.phase import Initialization, LossOptions
from ..config.schema import TrainingRecipe
from ..networks.complexity import count_parameters
from ..tasks.classification.options import ClassificationRecipe
from ..tasks.detection.options import DetectionRecipe
from ..tasks.super_resolution.options import ImageSet, SuperResolutionRecipe, TestRecipe
from .graph import phase_order, teacher_of


def describe_recipe(recipe: TrainingRecipe, networks: Mapping[str, nn.Module]) -> list[str]:
    """Phases in order with their networks, lengths and losses; data; arms.

    Args:
        recipe: checked.
        networks: as `check_recipe` built them.
    """
    lines = [f"{recipe.name}: a training recipe, {_task(recipe)}"]
    for name in phase_order(recipe):
        phase = recipe.phases[name]
        network = networks[phase.trains]
        teacher = teacher_of(recipe, name)
        taught = "" if teacher is None else f", taught by {teacher.phase or teacher.network}"
        if phase.partner is not None:
            taught = f", with {phase.partner} ({_size(networks[phase.partner])}), each the other's teacher"
        begun = "" if phase.init is None else f", {_begun(phase.init)}"
        lines.append(
            f"  phase {name}: {phase.trains} ({_size(network)}), {recipe.length(name):,} iterations of "
            f"{phase.optim.type} {phase.optim.lr:g} {phase.scheduler.type}{taught}{begun}"
        )
        lines.append(f"    losses: {', '.join(_loss(options) for options in phase.losses)}")
    if recipe.arms:
        lines.append(f"  arms: {', '.join(f'{label} ({phase})' for label, phase in recipe.arms.items())}")
    lines.append(f"  seeds: {', '.join(map(str, recipe.seeds))}")
    return lines + _data(recipe)


def describe_test(recipe: TestRecipe) -> list[str]:
    """Models and sets."""
    lines = [f"{recipe.name}: a test, x{recipe.scale}"]
    lines += [f"  model {label}: {model}" for label, model in recipe.models.items()]
    return lines + [f"  set {_set(images)}, {images.protocol}" for images in recipe.sets]


def _size(network: nn.Module) -> str:
    return f"{type(network).__name__}, {count_parameters(network):,} parameters"


def _task(recipe: TrainingRecipe) -> str:
    return recipe.task if recipe.scale is None else f"x{recipe.scale}"


def _data(recipe: TrainingRecipe) -> list[str]:
    if isinstance(recipe, SuperResolutionRecipe):
        train = recipe.train
        first = f"  train on {_set(train)}: {train.batch_size_per_gpu} HR patches of {train.gt_size} pixels"
        return [first, *(f"  validate on {_set(images)}, {images.protocol}" for images in recipe.validation_sets)]
    if isinstance(recipe, ClassificationRecipe):
        first = f"  train on {recipe.train.dataroot}: {recipe.train.batch_size_per_gpu} images"
        return [first, *(f"  validate on {images.dataroot}" for images in recipe.validation_sets)]
    if isinstance(recipe, DetectionRecipe):
        shapes = recipe.train
        first = f"  train on {shapes.images:,} images of {shapes.dataroot}, {shapes.batch_size_per_gpu} at a time"
        return [first, *(f"  validate on {images.images:,} images" for images in recipe.validation_sets)]
    return []


def _loss(options: LossOptions) -> str:
    weight = f"{options.weight:g}" if isinstance(options.weight, float) else _pairs(options.weight)
    taps = f" on {', '.join(map(_tap, options.taps))}" if options.taps else ""
    return (
        f"{options.type}{taps} with a gradient_ratio of {options.gradient_ratio:g}"
        if options.gradient_ratio
        else f"{weight} {options.type}{taps}"
    )


def _pairs(weights: Mapping[str, float]) -> str:
    return f"({', '.join(f'{term} {weight:g}' for term, weight in weights.items())})"


def _tap(tap: str | Mapping[Literal["student", "teacher"], str]) -> str:
    """A name that both networks have stands alone."""
    names = [tap] if isinstance(tap, str) else [tap.get("student", ""), tap.get("teacher", "")]
    return " and ".join(dict.fromkeys(filter(None, names)))


def _set(images: ImageSet) -> str:
    return images.name or " + ".join(images.dataroot_gt)


def _begun(init: Initialization) -> str:
    given = "" if init.into is None else f"{init.into} "
    return f"{given}from {' '.join(filter(None, (init.source, init.part)))}"
