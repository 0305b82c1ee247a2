"""What a detection asks of its packages, networks, losses and sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from torch import nn

from ...config.origin import Problem
from ...losses.build import LOSSES
from .options import DetectionRecipe
from .shapes import CLASSES

PACKAGES = ("torchvision", "torchmetrics", "pycocotools")
OF_OTHER_TASKS = frozenset({"L1", "L2", "Charbonnier", "CrossEntropy"})


def package_problems() -> Iterator[Problem]:
    """Packages of the extra "detection" that are not there."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        yield ("task",), f"is 'detection', which needs {', '.join(missing)}: pip install 'sr_kd[detection]'"


def detection_problems(recipe: DetectionRecipe, networks: Mapping[str, nn.Module]) -> Iterator[Problem]:
    """Networks that do not detect, losses that look at outputs, sets that do not fit.

    Args:
        networks: as built, by name.
    """
    for name, network in networks.items():
        kind = recipe.networks[name].type
        if getattr(network, "task", None) != recipe.task:
            yield ("networks", name, "type"), f"is '{kind}', no detector; a detection trains an FCOS"
        elif network.classes != len(CLASSES):
            problem = f"is {network.classes}; the shapes have {len(CLASSES)}: {', '.join(CLASSES)}"
            yield ("networks", name, "classes"), problem
    for name, phase in recipe.phases.items():
        if phase.compile:
            yield (
                ("phases", name, "compile"),
                f"is {str(phase.compile).lower()}: a detector, whose images differ in objects, cannot be compiled",
            )
        for index, options in enumerate(phase.losses):
            if _looks_at_outputs(options.type):
                between_taps = sorted(loss for loss in LOSSES.names() if _compares_taps(loss))
                problem = (
                    f"is '{options.type}', which looks at images or logits; a detection has the task loss Detection "
                    f"and losses between taps: {', '.join(between_taps)}"
                )
                yield ("phases", name, "losses", index, "type"), problem
    names = [images.name or "shapes" for images in recipe.validation_sets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield ("validation_sets",), f"has {names.count(name)} sets called '{name}': give each its own 'name'"


def _looks_at_outputs(kind: str) -> bool:
    loss = LOSSES.get(kind)
    needs = loss.needs_teacher_output or loss.needs_teacher_tail or loss.needs_forwards or loss.needs_compact
    return needs or kind in OF_OTHER_TASKS


def _compares_taps(kind: str) -> bool:
    return LOSSES.get(kind).needs_pairs and not _looks_at_outputs(kind)
