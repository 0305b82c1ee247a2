"""What classification and detection have in common: all images in memory, drawn one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from torch import Tensor

from ..data.sampler import PatchSampler
from ..distributed import World
from ..training.task import Task


class Images(Protocol):
    """A set; `images` are (N, S, S, C) uint8."""

    @property
    def name(self) -> str:
        """In logs and tables."""

    @property
    def images(self) -> np.ndarray:
        """The pixels."""


Set = TypeVar("Set", bound=Images)


class InMemoryTask(Task, Generic[Set]):
    """Random images for training, whole sets for validation.

    Args:
        train: drawn from with replacement.
        validation: measured whole.
        batch_size: images per iteration, over all processes.
        hflip: mirror half of the images.
        seed, stream: of the draws, as in `PatchSampler`; batches are a pure function of them and the index.
        world: batches and validation are shared out over its processes.
        shift: each image is moved by up to this many pixels to each side.
    """

    def __init__(
        self,
        train: Set,
        validation: Sequence[Set],
        *,
        batch_size: int,
        hflip: bool,
        seed: int,
        stream: str,
        world: World,
        shift: int = 0,
    ) -> None:
        self.train, self.validation, self.world = train, tuple(validation), world
        self.side = train.images.shape[1]
        sizes = np.full((len(train.images), 2), self.side + 2 * shift)
        share = world.rank, world.size
        self.sampler = PatchSampler(
            sizes, self.side, batch_size, hflip=hflip, rotate=False, seed=seed, stream=stream, share=share
        )

    def close(self) -> None:
        """Nothing is open."""


def network_images(pixels: Tensor) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 255
