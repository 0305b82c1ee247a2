"""The task's record."""

from collections.abc import Iterator

from ...config.origin import Problem
from ..base import Networks, TaskDefinition
from .data import DetectionData
from .options import DetectionRecipe


def detection_problems(recipe: DetectionRecipe, networks: Networks) -> Iterator[Problem]:
    """Phases that would be compiled."""
    for name, phase in recipe.phases.items():
        if phase.compile:
            value = str(phase.compile).lower()
            problem = f"is {value}: a detector, whose images differ in objects, cannot be compiled"
            yield ("phases", name, "compile"), problem


DETECTION = TaskDefinition(
    "detection",
    DetectionRecipe,
    DetectionData,
    problems=detection_problems,
    metrics={
        "map": "mAP, mean average precision over IoU 0.5 to 0.95, in percent",
        "map50": "mAP50, average precision at IoU 0.5, in percent",
    },
    single_output=False,
    packages=("torchvision", "torchmetrics", "pycocotools"),
)
