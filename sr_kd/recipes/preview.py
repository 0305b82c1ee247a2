"""Before a run: what training will see."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from ..distributed import World
from ..evaluation.protocols import to_pixels
from ..images import Image, write_image
from .check import CheckedRecipe
from .graph import phase_order

COUNT = 8


def write_preview(checked: CheckedRecipe, path: Path | str) -> Path:
    """Write the first patches of the first phase's first batch: HR above LR, whose pixels are repeated.

    Raises:
        SrKdError: an image that cannot be read, or a file that cannot be written.
    """
    recipe = checked.recipe
    name, seed = phase_order(recipe)[0], recipe.seeds[0]
    network = checked.networks.original(recipe.phases[name].trains, seed)
    with closing(checked.data.task(name, seed, [network], World(0, 1, torch.device("cpu")), quiet=True)) as task:
        inputs = task.batch(0)
    scale = inputs.hr.shape[-1] // inputs.lr.shape[-1]
    columns = []
    for lr, hr in zip(inputs.lr[:COUNT], inputs.hr[:COUNT], strict=True):
        columns.append(
            np.concatenate([to_pixels(255 * hr), to_pixels(255 * lr).repeat(scale, axis=0).repeat(scale, axis=1)])
        )
    write_image(path, Image(np.concatenate(columns, axis=1)))
    return Path(path)
