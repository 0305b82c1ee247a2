"""What an option file would run, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..archs.complexity import count_parameters
from .graph import phase_order, teacher_of
from .schema import ImageSet, LossOptions, Recipe, TestRecipe


def describe_recipe(recipe: Recipe, networks: Mapping[str, nn.Module]) -> list[str]:
    """Phases in order with their networks, lengths and losses; data; arms.

    Args:
        recipe: checked.
        networks: as `check_recipe` built them.
    """
    lines = [f"{recipe.name}: a training recipe, x{recipe.scale}"]
    for name in phase_order(recipe):
        phase = recipe.phases[name]
        network = networks[phase.trains]
        teacher = teacher_of(recipe, name)
        taught = "" if teacher is None else f", taught by {teacher.phase or teacher.network}"
        begun = "" if phase.init is None else f", from {' '.join(filter(None, (phase.init.source, phase.init.part)))}"
        size = f"{type(network).__name__}, {count_parameters(network):,} parameters"
        lines.append(
            f"  phase {name}: {phase.trains} ({size}), {recipe.length(name):,} iterations of "
            f"{phase.optim.type} {phase.optim.lr:g} {phase.scheduler.type}{taught}{begun}"
        )
        lines.append(f"    losses: {', '.join(_loss(options) for options in phase.losses)}")
    if recipe.arms:
        lines.append(f"  arms: {', '.join(f'{label} ({phase})' for label, phase in recipe.arms.items())}")
    lines.append(f"  seeds: {', '.join(map(str, recipe.seeds))}")
    train = recipe.train
    lines.append(f"  train on {_set(train)}: {train.batch_size_per_gpu} HR patches of {train.gt_size} pixels")
    lines += [f"  validate on {_set(images)}, {images.protocol}" for images in recipe.validation_sets]
    return lines


def describe_test(recipe: TestRecipe) -> list[str]:
    """Models and sets."""
    lines = [f"{recipe.name}: a test, x{recipe.scale}"]
    lines += [f"  model {label}: {model}" for label, model in recipe.models.items()]
    return lines + [f"  set {_set(images)}, {images.protocol}" for images in recipe.sets]


def _loss(options: LossOptions) -> str:
    weight = f"{options.weight:g}" if isinstance(options.weight, float) else str(options.weight)
    taps = f" on {', '.join(map(str, options.taps))}" if options.taps else ""
    return f"{weight} {options.type}{taps}"


def _set(images: ImageSet) -> str:
    return images.name or " + ".join(images.dataroot_gt)
