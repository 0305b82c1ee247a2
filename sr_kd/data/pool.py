"""Every image of a set decoded once, in one flat array; a batch is one gather of rows.

SR training reads small patches of few images many times, so decoding them each time is nearly all
that an ordinary loader does. The pool holds the pixels of all images one after the other (rows of
interleaved RGB, or one channel if all images are gray). A row of a patch is a run of bytes at a
computed offset, so a whole batch is read by one `index_select` over an overlapping view.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ..networks.base import Color
from ..progress import progress_bar
from .batch import network_batch
from .image_set import ImageSet, with_channels
from .sampler import Draw, PatchSampler


class PixelPool:
    """Images of different sizes in one flat uint8 tensor.

    Args:
        sizes: (images, 2) int64, height and width.
        channels: 1 or 3, the same for all.
        device: where the pixels are kept.
    """

    def __init__(self, sizes: np.ndarray, channels: int, device: torch.device) -> None:
        lengths = sizes.prod(axis=1) * channels
        self.channels = channels
        self.device = device
        self._ends = np.cumsum(lengths)
        self._starts = torch.from_numpy(self._ends - lengths).to(device)
        self._pitches = torch.from_numpy(sizes[:, 1] * channels).to(device)
        self._pixels = torch.empty(int(self._ends[-1]), dtype=torch.uint8, device=device)

    def store(self, index: int, pixels: np.ndarray) -> None:
        """Put image `index`, (H, W, C) uint8, in its place."""
        flat = torch.from_numpy(np.ascontiguousarray(with_channels(pixels, self.channels))).reshape(-1)
        end = int(self._ends[index])
        self._pixels[end - len(flat) : end] = flat

    def image(self, index: int) -> np.ndarray:
        """Image `index`, (H, W, C) uint8."""
        start, end = int(self._starts[index]), int(self._ends[index])
        return self._pixels[start:end].view(-1, int(self._pitches[index]) // self.channels, self.channels).cpu().numpy()

    def crop(self, image: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
        """Square patches (N, side, side, C); the index tensors (N,) int64 are on the pool's device."""
        run = side * self.channels
        rows = top[:, None] + torch.arange(side, device=top.device)
        starts = (self._starts[image] + left * self.channels)[:, None] + rows * self._pitches[image, None]
        runs = self._pixels.as_strided((len(self._pixels) - run + 1, run), (1, 1))
        return runs.index_select(0, starts.flatten()).view(len(image), side, side, self.channels)


class DecodedImages:
    """HR and LR of a whole set, decoded once; any number of patch sources may share it.

    Args:
        images: the set; decoded here, in parallel, with a progress bar.
        device: the pixels are kept there on CUDA, else in host memory.
        quiet: no progress bar.

    Raises:
        SrKdError: an image that cannot be decoded.
    """

    def __init__(self, images: ImageSet, device: torch.device, quiet: bool) -> None:
        home = device if device.type == "cuda" else torch.device("cpu")
        self.scale = images.scale
        self.sizes = images.lr_sizes
        self.hr = PixelPool(images.lr_sizes * images.scale, images.channels, home)
        self.lr = PixelPool(images.lr_sizes, images.channels, home)

        def load(index: int) -> None:
            pair = images.read(index)
            self.hr.store(index, pair.hr)
            self.lr.store(index, pair.lr)

        with (
            progress_bar(len(images), f"{images.name}: reading", "image", quiet) as bar,
            ThreadPoolExecutor() as threads,
        ):
            for _ in threads.map(load, range(len(images))):
                bar.update()

    def upscaled(self, upscale: Callable[[np.ndarray], np.ndarray], title: str, quiet: bool) -> DecodedImages:
        """The same LR images, with what `upscale` makes of them, whole, in place of HR.

        Args:
            upscale: (H, W, C) -> (H * scale, W * scale, C), uint8.
            title: of the progress bar.
        """
        result = copy.copy(self)
        result.hr = PixelPool(self.sizes * self.scale, self.lr.channels, self.lr.device)
        with progress_bar(len(self.sizes), title, "image", quiet) as bar:
            for index in range(len(self.sizes)):
                result.hr.store(index, upscale(self.lr.image(index)))
                bar.update()
        return result


class PooledPatches:
    """A :class:`~sr_kd.data.patches.PatchSource` over a set that fits in memory.

    Args:
        decoded: its pixels.
        sampler: draws the patches.
        color: what the network takes.
        device: where the batches go.
    """

    def __init__(self, decoded: DecodedImages, sampler: PatchSampler, color: Color, device: torch.device) -> None:
        self._decoded, self._sampler = decoded, sampler
        self._color, self._device = color, device

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """This process's part of an iteration's batch; see `PatchSource`."""
        draw = self._sampler.draw(iteration)
        return self._crop(self._decoded.lr, draw, 1), self._crop(self._decoded.hr, draw, self._decoded.scale)

    def close(self) -> None:
        """Nothing to end here."""

    def _crop(self, pool: PixelPool, draw: Draw, scale: int) -> Tensor:
        places = torch.from_numpy(np.stack([draw.image, draw.top * scale, draw.left * scale]))
        image, top, left = places.to(pool.device, non_blocking=True)
        patches = pool.crop(image, top, left, self._sampler.patch * scale)
        return network_batch(patches, draw, self._color, self._device)
