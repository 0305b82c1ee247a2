"""The images with boxes of a detection: drawn once for all phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from ...config.origin import Problem
from ...distributed import World
from ...networks.base import Network
from ..base import Networks, TaskData, repeated_names
from .options import DetectionRecipe, ShapesSet
from .shapes import CLASSES, DetectionImages, Part, make_shapes
from .task import DetectionTask


class DetectionData(TaskData):
    """Generated sets: a function of the options, so there is nothing to look for before they are drawn."""

    def __init__(self, recipe: DetectionRecipe, look: bool) -> None:
        self.recipe = recipe
        self.problems = ()

    def misfits(self, networks: Networks) -> Iterator[Problem]:
        """Sets of one name, and networks for another number of classes."""
        yield from repeated_names(("validation_sets",), [each.name or "shapes" for each in self.recipe.validation_sets])
        for name, network in networks.items():
            found = getattr(network, "classes", None)
            if found != len(CLASSES):
                problem = f"is {found}; the shapes have {len(CLASSES)}: {', '.join(CLASSES)}"
                yield ("networks", name, "classes"), problem

    def summary(self) -> list[str]:
        shapes = self.recipe.train
        lines = [f"train on {shapes.images:,} images of {shapes.dataroot}, {shapes.batch_size_per_gpu} at a time"]
        return lines + [f"validate on {images.images:,} images" for images in self.recipe.validation_sets]

    def task(self, phase: str, seed: int, networks: Sequence[Network], world: World, quiet: bool) -> DetectionTask:
        options = self.recipe.train
        return DetectionTask(
            self._train,
            self._validation,
            batch_size=options.batch_size_per_gpu * world.size,
            hflip=options.use_hflip,
            seed=seed,
            stream=phase,
            world=world,
        )

    @cached_property
    def _train(self) -> DetectionImages:
        return _drawn(self.recipe.train, "train")

    @cached_property
    def _validation(self) -> list[DetectionImages]:
        return [_drawn(options, "test") for options in self.recipe.validation_sets]


def _drawn(options: ShapesSet, part: Part) -> DetectionImages:
    return make_shapes(part, options.images, options.image_size, seed=options.seed, name=options.name)
