"""The task's record."""

from ..base import TaskDefinition
from .check import detection_problems
from .data import DetectionData
from .options import DetectionRecipe

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
