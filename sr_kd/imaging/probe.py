"""Photographs on which other runtimes, and files for them, are compared with the network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..data.color import rgb_to_y
from ..data.embedded import PREFIX, embedded_files
from ..images import read_image
from .color import TensorFunction

TOLERANCE = 1.0  # gray levels of 255
SHAPES = ((1, 64, 96), (3, 33, 47), (1, 95, 31))  # (N, H, W): other batches and sizes than the traced one


def probes(channels: int) -> Iterator[Tensor]:
    """Cuttings of photographs, (N, C, H, W) in [0, 1], float32: RGB, or luma for one channel.

    They are scikit-image's four held-out ones. Noise would be no measure: no network is made for it, and
    the differences on it are several times those on any image.
    """
    photographs = [torch.tensor(read_image(file).pixels) for file in embedded_files(f"{PREFIX}held_out")]
    taken = 0
    for count, height, width in SHAPES:
        cuttings = []
        for photograph in (photographs[(taken + index) % len(photographs)] for index in range(count)):
            top, left = ((side - wanted) // 2 for side, wanted in zip(photograph.shape, (height, width), strict=False))
            cuttings.append(photograph[top : top + height, left : left + width].permute(2, 0, 1) / 255)
        taken += count
        rgb = torch.stack(cuttings)
        yield rgb if channels == 3 else rgb_to_y(rgb)


def largest_difference(run: TensorFunction, network: nn.Module, channels: int) -> float:
    """In gray levels, over photographs of several sizes; NaN where there is one."""
    differences = []
    for image in probes(channels):
        with torch.no_grad():
            expected, found = network(image), run(image)
        if found.shape != expected.shape:
            return float("inf")
        differences.append((found - expected).abs().max())
    return 255 * float(torch.stack(differences).max())
