"""Streaming of a set larger than memory_budget, beside a part of it that fits."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.image_set import ImageSet
from ..data.patches import PatchSource
from ..data.prepare import encode_png, tile_starts
from ..data.sets import open_set
from ..errors import UsageError
from ..files import temporary_folder
from .data import open_source
from .report import SpeedComparison

SIDE, STEP = 480, 240  # of the sub-images, in pixels
GB, GIB = 1e9, 2**30


@dataclass(frozen=True)
class StreamingBench:
    """Luma patches of sub-images in files, LR made from them.

    The photographs are cut into sub-images in all eight orientations, each linked under many names until the set has
    the wanted size. Every name is an image of its own to the program, decoded on its own; only the files come from
    few disk blocks.

    Attributes:
        images: the photographs.
        gt_size, batch, workers: side of an HR patch, patches per batch, processes that read.
        gigabytes: decoded size of the set, HR and LR.
        budget: memory_budget in GiB.
        seconds: how long to stream; reading from memory takes a tenth of it.
    """

    images: ImageSet
    gt_size: int
    batch: int
    workers: int
    gigabytes: float
    budget: float
    seconds: float

    def compare(self) -> SpeedComparison:
        """Seconds per batch and the memory, after either half of the time: the caches are filled in the first."""
        with temporary_folder() as root:
            files = self._cut(root / "files")
            small = self._link(files, root / "small", min(self.gigabytes, self.budget * GIB / GB))
            large = self._link(files, root / "large", self.gigabytes)
            (memory,) = self._measure(small, [self.seconds / 10])
            first, second = self._measure(large, [self.seconds / 2] * 2)
        found = {"from memory": memory, "streaming, first half": first, "streaming, second half": second}
        size = f"{self.gigabytes:g} GB, {len(large)} images, memory_budget {self.budget:g}"
        title = f"{size}, {self.workers} workers, batch {self.batch}, HR patch {self.gt_size}"
        seconds = {name: each[0] for name, each in found.items()}
        notes = {name: each[1] for name, each in found.items()}
        return SpeedComparison(title, seconds, notes=notes, unit="patch", count=self.batch)

    def _cut(self, folder: Path) -> list[Path]:
        folder.mkdir()
        files: list[Path] = []
        for tile in self._tiles():
            for turn in range(8):
                files.append(folder / f"{len(files):05d}.png")
                files[-1].write_bytes(encode_png(np.rot90(tile if turn < 4 else tile[:, ::-1], turn)))
        if not files:
            raise UsageError(f"none of the {len(self.images)} images of {self.images.name} has {SIDE}x{SIDE} pixels")
        return files

    def _tiles(self) -> Iterator[np.ndarray]:
        for index in range(len(self.images)):
            pixels = self.images.read_hr(index)
            if min(pixels.shape[:2]) >= SIDE:
                for top in tile_starts(pixels.shape[0], SIDE, STEP):
                    for left in tile_starts(pixels.shape[1], SIDE, STEP):
                        yield pixels[top : top + SIDE, left : left + SIDE].repeat(3 // pixels.shape[2], axis=2)

    def _link(self, files: list[Path], folder: Path, gigabytes: float) -> ImageSet:
        """A set of links to the files, as many as make that size decoded."""
        folder.mkdir()
        scale = self.images.scale
        for number in range(max(1, int(gigabytes * GB / (SIDE**2 * 3 * (1 + 1 / scale**2))))):
            (folder / f"{number:06d}.png").symlink_to(files[number % len(files)])
        return open_set([str(folder)], scale=scale)

    def _measure(self, images: ImageSet, parts: list[float]) -> list[tuple[float, str]]:
        """(seconds per batch, memory at its end) of each part of the time."""
        source = open_source(images, "y", self.gt_size, self.batch, self.workers, self.budget, quiet=True)
        iterations = itertools.count(1)
        with closing(source):
            source.batch(0)
            return [(_seconds_per_batch(source, iterations, part), _memory()) for part in parts]


def _seconds_per_batch(source: PatchSource, iterations: Iterator[int], seconds: float) -> float:
    started, elapsed, count = time.perf_counter(), 0.0, 0
    while elapsed < seconds:
        source.batch(next(iterations))
        elapsed, count = time.perf_counter() - started, count + 1
    return elapsed / count


def _memory() -> str:
    """The proportional set size of this process and its workers, as Linux counts it: shared pages are divided."""
    processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    try:
        tables = [Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii") for process in processes]
    except OSError:
        return ""
    sizes = [int(line.split()[1]) for table in tables for line in table.splitlines() if line.startswith("Pss:")]
    return f"{sum(sizes) / 1024:,.0f} MiB in {len(processes)} process(es)"
