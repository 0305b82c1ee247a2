"""The task of one phase, from the recipe."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..archs.base import Colour
from ..config.build import open_evaluation_set, open_training_set
from ..config.schema import Recipe
from ..data.patches import open_patches
from .distributed import World
from .super_resolution import SuperResolution
from .task import Task


def open_task(recipe: Recipe, seed: int, phase: str, networks: Sequence[nn.Module], world: World, quiet: bool) -> Task:
    """Open the data of a phase.

    Args:
        phase: names the stream of random patches, together with the seed.
        networks: student and teacher; with an "rgb" one among them the batches are RGB.
    """
    colour: Colour = "rgb" if any(network.colour == "rgb" for network in networks) else "y"
    options = recipe.train
    patches = open_patches(
        open_training_set(recipe),
        colour=colour,
        gt_size=options.gt_size,
        batch_size=options.batch_size_per_gpu * world.size,
        use_hflip=options.use_hflip,
        use_rot=options.use_rot,
        seed=seed,
        stream=phase,
        device=world.device,
        memory_budget_gib=options.memory_budget,
        workers=options.num_worker_per_gpu,
        quiet=quiet or not world.leads,
    )
    validation = [(open_evaluation_set(entry, recipe.scale), entry.protocol) for entry in recipe.validation_sets]
    return SuperResolution(patches, colour, validation, recipe.scale, recipe.val.metrics, world)
