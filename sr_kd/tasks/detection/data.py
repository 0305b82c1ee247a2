"""The images with boxes of a detection: drawn once for all phases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import nn

from ...distributed import World
from .options import DetectionRecipe, ShapesSet, ShapesTrainSet
from .shapes import DetectionImages, Part, make_shapes
from .task import Detection


class DetectionOpener:
    """Generated images with boxes."""

    def __init__(self, recipe: DetectionRecipe, world: World) -> None:
        self.recipe, self.world = recipe, world

    def open(self, phase: str, seed: int, networks: Sequence[nn.Module]) -> Detection:
        options = self.recipe.train
        return Detection(
            self._train,
            self._validation,
            batch_size=options.batch_size_per_gpu * self.world.size,
            hflip=options.use_hflip,
            seed=seed,
            stream=phase,
            world=self.world,
        )

    @cached_property
    def _train(self) -> DetectionImages:
        return open_shapes(self.recipe.train)

    @cached_property
    def _validation(self) -> list[DetectionImages]:
        return [open_shapes(options) for options in self.recipe.validation_sets]


def open_shapes(options: ShapesSet) -> DetectionImages:
    """A generated set for detection."""
    part: Part = "train" if isinstance(options, ShapesTrainSet) else "test"
    return make_shapes(part, options.images, options.image_size, seed=options.seed, name=options.name)
