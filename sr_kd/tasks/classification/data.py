"""The labeled images of a classification: opened once for all phases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import nn

from ...distributed import World
from .images import LabeledImages, Part, open_labeled
from .options import ClassificationRecipe, LabeledSet, LabeledTrainSet
from .task import Classification


class ClassificationOpener:
    """Labeled images."""

    def __init__(self, recipe: ClassificationRecipe, world: World) -> None:
        self.recipe, self.world = recipe, world

    def open(self, phase: str, seed: int, networks: Sequence[nn.Module]) -> Classification:
        options = self.recipe.train
        return Classification(
            self._train,
            self._validation,
            batch_size=options.batch_size_per_gpu * self.world.size,
            shift=options.shift,
            hflip=options.use_hflip,
            seed=seed,
            stream=phase,
            world=self.world,
        )

    @cached_property
    def _train(self) -> LabeledImages:
        return open_labeled_set(self.recipe.train)

    @cached_property
    def _validation(self) -> list[LabeledImages]:
        return [open_labeled_set(options) for options in self.recipe.validation_sets]


def open_labeled_set(options: LabeledSet) -> LabeledImages:
    """A set of labeled images. Raises UsageError and SrKdError, as `images.open_labeled`."""
    part: Part = "train" if isinstance(options, LabeledTrainSet) else "test"
    return open_labeled(options.dataroot, part, name=options.name, image_size=options.image_size)
