"""The images of a super-resolution: opened and decoded once for all phases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import nn

from ...data.patches import decode, open_patches
from ...data.pool import DecodedImages
from ...data.sets import ImageSet, open_set
from ...distributed import World
from ...networks.base import Color
from .options import EvaluationSet, SuperResolutionRecipe
from .options import ImageSet as SetOptions
from .task import SuperResolution


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


def open_training_set(recipe: SuperResolutionRecipe) -> ImageSet:
    """The training images. Raises UsageError and SrKdError, as `data.sets.open_set`."""
    return _open(recipe.train, recipe.scale)


def open_evaluation_set(options: EvaluationSet, scale: int) -> ImageSet:
    """A validation or test set. Raises UsageError and SrKdError, as `data.sets.open_set`."""
    return _open(options, scale)


def _open(options: SetOptions, scale: int) -> ImageSet:
    return open_set(
        options.dataroot_gt,
        scale=scale,
        dataroot_lq=options.dataroot_lq,
        filename_tmpl=options.filename_tmpl,
        meta_info_file=options.meta_info_file,
        lmdb=options.io_backend.type == "lmdb",
        name=options.name,
    )
