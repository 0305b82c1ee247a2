"""Training patches: the pool beside BasicSR's PairedImageDataset with PyTorch's loader."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from ..data.image_set import ImageSet
from ..data.patches import PatchSource, check_patch_size, open_patches
from ..data.sampler import PatchSampler
from ..data.sets import open_set
from ..files import temporary_folder
from ..images import Image, write_image
from ..networks.base import Color
from .baselines import BASICSR, find_basicsr
from .machine import Machine
from .report import SpeedComparison
from .timing import time_in_turn

BATCHES = 10  # of one run
Run = Callable[[], list[tuple[torch.Size, torch.Size]]]  # shapes: like training, a run keeps no batch


@dataclass(frozen=True)
class DataBench:
    """RGB patches of one set, HR and LR in files.

    Attributes:
        images: where the images come from; they are written as PNG pairs to a temporary folder.
        gt_size, batch, workers: side of an HR patch, patches per batch, processes of PyTorch's loader.
    """

    images: ImageSet
    gt_size: int
    batch: int
    workers: int

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> SpeedComparison:
        """Patches per second; one after the other, for a loader works ahead while others are timed."""
        seconds: dict[str, float] = {}
        with self.folders() as (hr, lr):
            seconds |= time_in_turn({"sr_kd": self.pool(hr, lr, quiet)}, repetitions, quiet=quiet)
            basicsr, absent = find_basicsr()
            if basicsr is not None:
                seconds |= time_in_turn({BASICSR: self.loader(basicsr, hr, lr)}, repetitions, quiet=quiet)
        patch = self.gt_size // self.images.scale
        moved = BATCHES * self.batch * 3 * (self.gt_size**2 + patch**2) * 5  # 8-bit pixels read, floats written
        title = f"Patches of {self.images.name}, x{self.images.scale}, batch {self.batch}, HR patch {self.gt_size}"
        notes = {BASICSR: f"{self.workers} workers"}
        return SpeedComparison(
            title, seconds, machine.lower_bound(0, moved), absent, notes, "patch", BATCHES * self.batch
        )

    @contextmanager
    def folders(self) -> Iterator[tuple[Path, Path]]:
        """The pairs as PNG files in two folders, HR and LR."""
        with temporary_folder() as root:
            hr, lr = root / "hr", root / "lr"
            for index, name in enumerate(self.images.names):
                pair = self.images.read(index)
                write_image(hr / f"{name}.png", Image(pair.hr))
                write_image(lr / f"{name}.png", Image(pair.lr))
            yield hr, lr

    def pool(self, hr: Path, lr: Path, quiet: bool) -> Run:
        """One run of ours."""
        images = open_set([str(hr)], scale=self.images.scale, dataroot_lq=[str(lr)])
        source = open_source(images, "rgb", self.gt_size, self.batch, self.workers, 8, quiet)
        return lambda: _shapes(source.batch(iteration) for iteration in range(BATCHES))

    def loader(self, basicsr: Any, hr: Path, lr: Path) -> Run:
        """One run of BasicSR's dataset behind a `DataLoader` that never ends; its workers end with the run."""
        dataset = basicsr.data.paired_image_dataset.PairedImageDataset(
            {
                "dataroot_gt": str(hr),
                "dataroot_lq": str(lr),
                "io_backend": {"type": "disk"},
                "scale": self.images.scale,
                "phase": "train",
                "gt_size": self.gt_size,
                "use_hflip": True,
                "use_rot": True,
            }
        )
        endless = RandomSampler(dataset, replacement=True, num_samples=10**8)
        batches = iter(DataLoader(dataset, self.batch, sampler=endless, num_workers=self.workers))

        return lambda: _shapes((batch["lq"], batch["gt"]) for batch in itertools.islice(batches, BATCHES))


def _shapes(batches: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[torch.Size, torch.Size]]:
    return [(lr.shape, hr.shape) for lr, hr in batches]


def open_source(
    images: ImageSet, color: Color, gt_size: int, batch: int, workers: int, budget: float, quiet: bool
) -> PatchSource:
    """Patches on the CPU as the trainer opens them; `budget` in GiB."""
    sampler = PatchSampler(images.lr_sizes, check_patch_size(images, gt_size), batch, seed=0, stream="bench")
    cpu = torch.device("cpu")
    return open_patches(
        images, sampler, color=color, device=cpu, memory_budget_gib=budget, workers=workers, quiet=quiet
    )
