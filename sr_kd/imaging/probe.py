"""Photographs on which other runtimes, and files for them, are compared with the network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..data.color import rgb_to_y
from ..data.embedded import PREFIX, embedded_files
from ..data.resize import make_lr
from ..images import read_image
from .color import TensorFunction

TOLERANCE = 1.0  # gray levels of 255
SIDE = 96  # of the LR cuttings of `photograph_pairs`
Shapes = tuple[tuple[int, int, int], ...]  # (N, H, W) each
SHAPES: Shapes = ((1, 64, 96), (3, 33, 47), (1, 95, 31))  # other batches and sizes than the traced one


def probes(channels: int, shapes: Shapes = SHAPES) -> Iterator[Tensor]:
    """Cuttings of photographs, (N, C, H, W) in [0, 1], float32: RGB, or luma for one channel.

    They are scikit-image's four held-out ones. Noise would be no measure: no network is made for it, and
    the differences on it are several times those on any image.
    """
    photographs = _photographs()
    taken = 0
    for count, height, width in shapes:
        cuttings = []
        for photograph in (photographs[(taken + index) % len(photographs)] for index in range(count)):
            cuttings.append(_as_seen(_middle(photograph, height, width), channels))
        taken += count
        yield torch.stack(cuttings)


def photograph_pairs(channels: int, scale: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same photographs' middles as LR and HR, (1, C, h, w) and (1, C, h * scale, w * scale) in [0, 1], float32."""
    for photograph in _photographs():
        side = min(SIDE, *(side // scale for side in photograph.shape[:2]))
        hr = _middle(photograph, side * scale, side * scale)
        yield _as_seen(make_lr(hr, scale), channels)[None], _as_seen(hr, channels)[None]


def _photographs() -> list[np.ndarray]:
    return [read_image(file).pixels for file in embedded_files(f"{PREFIX}held_out")]


def _middle(photograph: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width, C) of a photograph, mirrored where it is smaller."""
    missing = [max(0, wanted - side) for wanted, side in zip((height, width), photograph.shape, strict=False)]
    photograph = np.pad(photograph, [*((0, more) for more in missing), (0, 0)], mode="symmetric")
    top, left = ((side - wanted) // 2 for side, wanted in zip(photograph.shape, (height, width), strict=False))
    return np.ascontiguousarray(photograph[top : top + height, left : left + width])


def _as_seen(photograph: np.ndarray, channels: int) -> Tensor:
    """(H, W, 3) of 8 bits -> (C, H, W) in [0, 1]: RGB, or luma for one channel."""
    rgb = torch.tensor(photograph).permute(2, 0, 1) / 255
    return rgb if channels == 3 else rgb_to_y(rgb)


def largest_difference(run: TensorFunction, network: nn.Module, channels: int, shapes: Shapes = SHAPES) -> float:
    """In gray levels, over photographs of several sizes; NaN where there is one."""
    differences = []
    for image in probes(channels, shapes):
        with torch.no_grad():
            expected, found = network(image), run(image)
        if found.shape != expected.shape:
            return float("inf")
        differences.append((found - expected).abs().max())
    return 255 * float(torch.stack(differences).max())
