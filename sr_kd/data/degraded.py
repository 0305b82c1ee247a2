"""Batches whose LR patches are degraded copies of their HR patches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..networks.base import Color
from .color import rgb_to_y
from .degradation import Degradation, degrade, generator_of
from .patches import PatchSource
from .sampler import PatchSampler


class _Batch(NamedTuple):
    """HR and the LR patches that threads are making."""

    hr: Tensor
    lr: Sequence[Future[np.ndarray]]


class DegradedPatches:
    """A :class:`~sr_kd.data.patches.PatchSource` over another one, which gives HR.

    The batch after the one that was asked for is made by threads while that one trains. What a patch looks like depends
    on what the sampler says that the batch depends on, and its place in the global batch, alone.

    Args:
        patches: RGB, on the CPU; closed with this one.
        options: how patches are degraded.
        scale: how many times smaller LR is.
        color: what the network takes: Y is computed from the degraded RGB.
        first: place of this process's first patch in the batch of an iteration.
        sampler: of the patches.
        device: where the batches go.
    """

    def __init__(
        self,
        patches: PatchSource,
        options: Degradation,
        *,
        scale: int,
        color: Color,
        first: int,
        sampler: PatchSampler,
        device: torch.device,
    ) -> None:
        self._patches, self._options, self._scale, self._color = patches, options, scale, color
        self._first, self._sampler, self._device = first, sampler, device
        self._threads = ThreadPoolExecutor()
        self._ahead: tuple[int, _Batch] | None = None

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """This process's part of an iteration's batch; see `PatchSource`."""
        current = self._ahead[1] if self._ahead and self._ahead[0] == iteration else self._begin(iteration)
        self._ahead = iteration + 1, self._begin(iteration + 1)
        lr = np.stack([patch.result() for patch in current.lr]).transpose(0, 3, 1, 2)
        return self._seen(torch.from_numpy(np.ascontiguousarray(lr)).float() / 255), self._seen(current.hr)

    def close(self) -> None:
        """End the threads, and what reads HR."""
        self._threads.shutdown(cancel_futures=True)
        self._patches.close()

    def _begin(self, iteration: int) -> _Batch:
        _, hr = self._patches.batch(iteration)
        # What a byte was before it became a float.
        pixels = (hr * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return _Batch(
            hr,
            [
                self._threads.submit(
                    degrade,
                    patch,
                    self._scale,
                    self._options,
                    generator_of(*self._sampler.origin(iteration), self._first + index),
                )
                for index, patch in enumerate(pixels)
            ],
        )

    def _seen(self, image: Tensor) -> Tensor:
        image = image.to(self._device)
        return rgb_to_y(image) if self._color == "y" else image
