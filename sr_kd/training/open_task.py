"""The tasks of a recipe's phases; the training images are opened and decoded once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from torch import nn

from ..config.build import open_evaluation_set, open_labeled_set, open_shapes, open_training_set
from ..config.schema import ClassificationRecipe, DetectionRecipe, SuperResolutionRecipe, TrainingRecipe
from ..data.image_set import ImageSet
from ..data.labeled import LabeledImages
from ..data.patches import decode, open_patches
from ..data.pool import DecodedImages
from ..data.shapes import DetectionImages
from ..distributed import World
from ..errors import UsageError
from ..networks.base import Color
from .classification import Classification
from .detection import Detection
from .super_resolution import SuperResolution
from .task import Task


class TaskOpener(Protocol):
    """Opens the task of one phase after the other."""

    def open(self, phase: str, seed: int, networks: Sequence[nn.Module]) -> Task:
        """The task of a phase.

        Args:
            phase: names the stream of random batches, together with the seed.
            networks: student and teacher.

        Raises:
            UsageError, SrKdError: data that do not fit or cannot be read.
        """


def task_opener(recipe: TrainingRecipe, world: World, quiet: bool) -> TaskOpener:
    """The opener for a recipe's task; with `quiet`, without progress bars."""
    if isinstance(recipe, SuperResolutionRecipe):
        return SuperResolutionOpener(recipe, world, quiet)
    if isinstance(recipe, ClassificationRecipe):
        return ClassificationOpener(recipe, world)
    if isinstance(recipe, DetectionRecipe):
        return DetectionOpener(recipe, world)
    raise UsageError(f"{type(recipe).__name__} is the recipe of no task")


class SuperResolutionOpener:
    """Patches and whole images; with an "rgb" network among a phase's, its batches are RGB."""

    def __init__(self, recipe: SuperResolutionRecipe, world: World, quiet: bool) -> None:
        self.recipe, self.world, self.quiet = recipe, world, quiet

    def open(self, phase: str, seed: int, networks: Sequence[nn.Module]) -> SuperResolution:
        color: Color = "rgb" if any(network.color == "rgb" for network in networks) else "y"
        options = self.recipe.train
        patches = open_patches(
            self._images,
            color=color,
            gt_size=options.gt_size,
            batch_size=options.batch_size_per_gpu * self.world.size,
            use_hflip=options.use_hflip,
            use_rot=options.use_rot,
            seed=seed,
            stream=phase,
            device=self.world.device,
            memory_budget_gib=options.memory_budget,
            workers=options.num_worker_per_gpu,
            quiet=self.quiet,
            decoded=self._decoded,
        )
        scale = self.recipe.scale
        return SuperResolution(patches, self._validation, scale, self.recipe.val.metrics, self.world)

    @cached_property
    def _images(self) -> ImageSet:
        return open_training_set(self.recipe)

    @cached_property
    def _decoded(self) -> DecodedImages | None:
        return decode(self._images, self.world.device, self.recipe.train.memory_budget, self.quiet)

    @cached_property
    def _validation(self) -> list[tuple[ImageSet, str]]:
        sets = self.recipe.validation_sets
        return [(open_evaluation_set(options, self.recipe.scale), options.protocol) for options in sets]


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
