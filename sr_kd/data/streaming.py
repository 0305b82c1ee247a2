"""Patches of a set that does not fit in memory, read by worker processes ahead of the training.

The main process draws the samples and says which patch goes where; the workers only cut. So batches
depend on the sampler alone, and equal the pool's.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ..networks.base import Color
from .batch import network_batch
from .image_set import ImageSet
from .patch_reader import PatchReader
from .readers import Readers, Slot, fill, make_slots, requests_of
from .sampler import Draw, PatchSampler

_AHEAD = 8  # batches that are read ahead


class StreamedPatches:
    """A :class:`~sr_kd.data.patches.PatchSource` that decodes images while training goes on.

    Batches are meant to be asked for one after the other; any other order is right, but slow.

    Args:
        images: the set.
        sampler: draws the patches.
        color: what the network takes.
        device: where the batches go.
        cache_bytes: of decoded images kept, over all workers.
        workers: processes that read; with 0 the main process does.
    """

    def __init__(
        self,
        images: ImageSet,
        sampler: PatchSampler,
        color: Color,
        device: torch.device,
        cache_bytes: float,
        workers: int,
    ) -> None:
        self._images, self._sampler = images, sampler
        self._color, self._device = color, device
        self._cache_bytes, self._workers = cache_bytes, workers
        self._readers: Readers | None = None
        self._reader = PatchReader(images, sampler.patch, 0 if workers else cache_bytes)
        self._slots: list[Slot] = []
        self._asked: deque[tuple[int, int, Draw]] = deque()  # iteration, slot, draw

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """This process's part of an iteration's batch; see `PatchSource`.

        Raises:
            SrKdError: an image that cannot be read, a worker that died, too little shared memory.
        """
        if not self._asked or self._asked[0][0] != iteration:
            self._start_at(iteration)
        _, slot, draw = self._asked.popleft()
        if self._readers is None:
            fill(self._slots[slot], requests_of(draw), self._reader)
        else:
            self._readers.wait(slot)
        lr, hr = (network_batch(patches[: len(draw)], draw, self._color, self._device) for patches in self._slots[slot])
        self._ask(iteration + len(self._slots), slot)
        return lr, hr

    def close(self) -> None:
        """End the worker processes."""
        if self._readers is not None:
            self._readers.close()
            self._readers = None
        self._asked.clear()
        self._slots = []

    def _start_at(self, iteration: int) -> None:
        if not self._slots:
            size, ahead = len(self._sampler.draw(0)), _AHEAD if self._workers else 1
            self._slots = make_slots(self._images, self._sampler.patch, size, ahead, shared=self._workers > 0)
            if self._workers:
                self._readers = Readers(
                    self._images, self._sampler.patch, self._slots, self._cache_bytes, self._workers
                )
        for _, slot, _ in self._asked:  # what was read ahead in vain
            if self._readers is not None:
                self._readers.wait(slot)
        self._asked.clear()
        for slot in range(len(self._slots)):
            self._ask(iteration + slot, slot)

    def _ask(self, iteration: int, slot: int) -> None:
        draw = self._sampler.draw(iteration)
        if self._readers is not None:
            self._readers.submit(slot, draw)
        self._asked.append((iteration, slot, draw))
