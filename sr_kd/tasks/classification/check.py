"""What a classification asks of its networks, losses and sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from ...config.origin import Problem
from ...errors import SrKdError
from .data import open_labeled_set
from .images import LabeledImages
from .options import ClassificationRecipe

FOR_IMAGES = frozenset({"L1", "L2", "Charbonnier", "Imitation", "Upcycling"})


def classification_problems(
    recipe: ClassificationRecipe, networks: Mapping[str, nn.Module], data: bool
) -> Iterator[Problem]:
    """Networks that do not classify, losses that compare images, and sets that fit neither each other nor a network.

    Args:
        networks: as built, by name.
        data: read the sets, too.
    """
    for name, network in networks.items():
        if getattr(network, "task", None) != recipe.task:
            kind = recipe.networks[name].type
            yield ("networks", name, "type"), f"is '{kind}', no classifier; a classification trains a ResNet"
    for name, phase in recipe.phases.items():
        for index, loss in enumerate(phase.losses):
            if loss.type in FOR_IMAGES:
                problem = f"is '{loss.type}', which compares images; the task loss of a classification is CrossEntropy"
                yield ("phases", name, "losses", index, "type"), problem
    if data:
        yield from _set_problems(recipe, networks)


def _set_problems(recipe: ClassificationRecipe, networks: Mapping[str, nn.Module]) -> Iterator[Problem]:
    opened: list[LabeledImages] = []
    written = [("train",), *(("validation_sets", index) for index in range(len(recipe.validation_sets)))]
    for path, options in zip(written, (recipe.train, *recipe.validation_sets), strict=True):
        try:
            opened.append(open_labeled_set(options))
        except SrKdError as error:
            yield path, f"cannot be used: {error}"
            return
        train, images = opened[0], opened[-1]
        if images.classes != train.classes or images.images.shape[1:] != train.images.shape[1:]:
            problem = f"has {_description(images)}, the training set {_description(train)}; they must agree"
            yield path, problem
    names = [images.name for images in opened[1:]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield ("validation_sets",), f"has {names.count(name)} sets called '{name}': give each its own 'name'"
    classes, channels = len(opened[0].classes), opened[0].images.shape[3]
    for name, network in networks.items():
        of_this_task = getattr(network, "task", None) == recipe.task
        if of_this_task and (network.classes, network.channels) != (classes, channels):
            problem = (
                f"is for {network.classes} classes and {network.channels} channels; "
                f"the training set has {classes} and {channels}"
            )
            yield ("networks", name), problem


def _description(images: LabeledImages) -> str:
    height, width, channels = images.images.shape[1:]
    return f"{len(images.classes)} classes of {width}x{height} images with {channels} channels"
