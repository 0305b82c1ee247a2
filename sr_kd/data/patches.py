"""Batches of training patches, from memory or streamed."""

from __future__ import annotations

import logging
from typing import Protocol

import torch
from torch import Tensor

from ..errors import UsageError
from ..networks.base import Color
from .image_set import ImageSet
from .pool import DecodedImages, PooledPatches
from .sampler import PatchSampler
from .streaming import StreamedPatches

_GIB = 2**30


class PatchSource(Protocol):
    """Gives the batch of any iteration."""

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """This process's part of the batch of an iteration.

        Returns:
            lr (N, C, patch, patch) and hr (N, C, gt_size, gt_size), float32 in [0, 1], in the
            network's color, on the device. Equal for equal (seed, stream, iteration), whatever the
            numbers of processes and workers are.

        Raises:
            SrKdError: an image that cannot be read.
        """

    def close(self) -> None:
        """End worker processes, if there are any."""


def open_patches(
    images: ImageSet,
    sampler: PatchSampler,
    *,
    color: Color,
    device: torch.device,
    memory_budget_gib: float,
    workers: int = 0,
    quiet: bool = True,
    decoded: DecodedImages | None = None,
) -> PatchSource:
    """Patches of a set: kept in memory when its decoded pixels fit the budget, else streamed.

    Args:
        images: the set.
        sampler: chooses the patches (`check_patch_size` gives their side).
        color: what the network takes, "y" or "rgb".
        device: where the batches go.
        memory_budget_gib: GiB of decoded pixels that may be kept.
        workers: processes that read, when streaming.
        quiet: no progress bar.
        decoded: what `decode` gave for this set before; its images are then not read again.

    Raises:
        SrKdError: an image that cannot be read.
    """
    decoded = decoded or decode(images, device, memory_budget_gib, quiet)
    if decoded is not None:
        return PooledPatches(decoded, sampler, color, device)
    logging.getLogger("sr_kd").info(
        "%s: %.1f GiB decoded, memory_budget %g GiB: streaming with %d worker(s)",
        images.name,
        decoded_bytes(images) / _GIB,
        memory_budget_gib,
        workers,
    )
    return StreamedPatches(images, sampler, color, device, memory_budget_gib * _GIB, workers)


def decode(images: ImageSet, device: torch.device, memory_budget_gib: float, quiet: bool) -> DecodedImages | None:
    """All images of a set in memory; None if they exceed the budget. Raises SrKdError for one that cannot be read."""
    fits = decoded_bytes(images) <= memory_budget_gib * _GIB
    return DecodedImages(images, device, quiet) if fits else None


def decoded_bytes(images: ImageSet) -> int:
    """Bytes of the decoded HR and LR images of a set."""
    pixels = int(images.lr_sizes.prod(axis=1).sum())
    return pixels * images.channels * (images.scale**2 + 1)


def check_patch_size(images: ImageSet, gt_size: int) -> int:
    """The side of the LR patch.

    Raises:
        UsageError: a gt_size that is no multiple of the scale, or an image smaller than the patch.
    """
    scale = images.scale
    if gt_size % scale or gt_size < scale:
        below, above = gt_size // scale * scale, (gt_size // scale + 1) * scale
        raise UsageError(f"gt_size {gt_size} is no multiple of scale {scale}; the nearest are {below} and {above}")
    patch = gt_size // scale
    small = [index for index, size in enumerate(images.lr_sizes) if size.min() < patch]
    if small:
        first, header = images.hr[small[0]], images.headers[small[0]]
        raise UsageError(
            f"{len(small)} of {len(images)} images of {images.name} are smaller than the patch, gt_size {gt_size}: "
            f"{first} ({header.width}x{header.height}); take a smaller gt_size or leave them out"
        )
    return patch
