"""The tasks of a recipe's phases; the training images are opened and decoded once for all of them."""

from __future__ import annotations

from ..config.schema import TrainingRecipe
from ..distributed import World
from ..errors import UsageError
from ..tasks.classification.data import ClassificationOpener
from ..tasks.classification.options import ClassificationRecipe
from ..tasks.detection.data import DetectionOpener
from ..tasks.detection.options import DetectionRecipe
from ..tasks.super_resolution.data import SuperResolutionOpener
from ..tasks.super_resolution.options import SuperResolutionRecipe
from ..training.task import TaskOpener


def task_opener(recipe: TrainingRecipe, world: World, quiet: bool) -> TaskOpener:
    """The opener for a recipe's task; with `quiet`, without progress bars."""
    if isinstance(recipe, SuperResolutionRecipe):
        return SuperResolutionOpener(recipe, world, quiet)
    if isinstance(recipe, ClassificationRecipe):
        return ClassificationOpener(recipe, world)
    if isinstance(recipe, DetectionRecipe):
        return DetectionOpener(recipe, world)
    raise UsageError(f"{type(recipe).__name__} is the recipe of no task")
