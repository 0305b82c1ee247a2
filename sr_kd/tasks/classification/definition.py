"""The task's record."""

from ..base import TaskDefinition
from .data import ClassificationData
from .options import ClassificationRecipe

CLASSIFICATION = TaskDefinition(
    "classification", ClassificationRecipe, ClassificationData, metrics={"top1": "Top-1 accuracy in percent"}
)
