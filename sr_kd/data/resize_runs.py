"""MATLAB's bicubic weights of one axis, as a banded matrix cut into bands that repeat.

With a regular factor (1/2, 1/3, 2, 5/8) all bands but those at the borders are the same, and lie evenly spaced over the
input. One batched matrix product then makes the whole axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from ..networks.bicubic import cubic

LONGEST_PERIOD = 32  # outputs after which weights must repeat to be worth it
SMALL = 128  # samples of an axis for which one product is the fastest
ALONE = 16  # outputs of a band that is like no other
_NOTHING = 1e-12  # weights that differ by less are the same: they come from one formula, at other places


@dataclass(frozen=True)
class PixelRun:
    """Equal bands, one after the other.

    Attributes:
        place: the first output sample.
        first: the first input sample that its first band looks at.
        step: input samples from one band to the next.
        count: bands.
        band: (outputs, taps) weights of one.
    """

    place: int
    first: int
    step: int
    count: int
    band: Tensor

    @property
    def outputs(self) -> slice:
        """The output samples that it makes."""
        return slice(self.place, self.place + self.count * self.band.shape[0])

    @property
    def inputs(self) -> slice:
        """The input samples that it looks at."""
        return slice(self.first, self.first + self.step * (self.count - 1) + self.band.shape[1])

    def parts(self, most: int) -> Iterator[PixelRun]:
        """The same as runs of at most so many bands."""
        for begin in range(0, self.count, most):
            place, first = self.place + begin * self.band.shape[0], self.first + begin * self.step
            yield replace(self, place=place, first=first, count=min(most, self.count - begin))


@lru_cache(maxsize=32)
def runs(
    length: int, size: int, scale: float, least: int, dtype: torch.dtype, device: torch.device
) -> tuple[PixelRun, ...]:
    """The matrix that makes `size` samples of `length`, in bands of `least` or some more output samples."""
    indices, weights = _contributions(length, size, scale)
    block = _block(length, size, scale, least)
    whole = size - size % block
    found = _equal_bands(indices[:whole], weights[:whole], 0, block) if whole else []
    if whole < size:
        found += _equal_bands(indices[whole:], weights[whole:], whole, size - whole)
    return tuple(replace(run, band=run.band.to(device, dtype)) for run in found)


@lru_cache(maxsize=64)
def short(length: int, size: int) -> bool:
    """Whether all weights are multiples of 2^-15 (as for halves and quarters): float32 then adds up bytes exactly."""
    scaled = 2**15 * _contributions(length, size, size / length)[1]
    return torch.equal(scaled, scaled.round())


def _block(length: int, size: int, scale: float, least: int) -> int:
    """Outputs of a band: whole periods of the weights where they are short, more where no two bands would be the same.

    Where all is small, one band, which is the matrix itself.
    """
    if max(length, size) <= SMALL:
        return size
    period = Fraction(size, length).numerator
    if abs(scale - size / length) > _NOTHING:
        period = max(1, Fraction(scale).limit_denominator(LONGEST_PERIOD).numerator)
    return period * math.ceil(least / period) if period <= LONGEST_PERIOD else max(least, ALONE)


def _equal_bands(indices: Tensor, weights: Tensor, place: int, block: int) -> list[PixelRun]:
    """The runs of bands of exactly `block` rows."""
    index, weight = indices.view(-1, block, indices.shape[1]), weights.view(-1, block, weights.shape[1])
    first, last = index.amin((1, 2)), index.amax((1, 2))
    within = index - first[:, None, None]
    equal = within.diff(dim=0).eq(0).flatten(1).all(1) & weight.diff(dim=0).abs().lt(_NOTHING).flatten(1).all(1)
    steps, follows = first.diff().tolist(), equal.tolist()
    found, begin = [], 0
    for end in range(1, len(first) + 1):
        if end < len(first) and follows[end - 1] and steps[end - 1] > 0 and steps[end - 1] == steps[begin]:
            continue
        band = torch.zeros(block, int(last[begin] - first[begin]) + 1, dtype=torch.float64)
        band.scatter_add_(1, within[begin], weight[begin])
        step = steps[begin] if end - begin > 1 else 1
        found.append(PixelRun(place + begin * block, int(first[begin]), step, end - begin, band))
        begin = end
    return found


def _contributions(length: int, size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Which input samples, and how much of each, make every output sample: two (size, taps) tensors."""
    stretch = max(1.0, 1 / scale)  # shrinking widens the kernel: the antialiasing filter
    center = (torch.arange(size, dtype=torch.float64) + 0.5) / scale - 0.5
    first = torch.floor(center - 2 * stretch + _NOTHING)  # rounding must not choose: the kernel is 0 where it begins
    positions = first[:, None] + torch.arange(math.ceil(4 * stretch) + 2, dtype=torch.float64)
    weights = cubic((center[:, None] - positions) / stretch)
    weights = weights / weights.sum(dim=1, keepdim=True)
    used = weights.abs().gt(_NOTHING).any(dim=0)
    folded = positions[:, used].long() % (2 * length)  # symmetric: ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
    return torch.where(folded < length, folded, 2 * length - 1 - folded), weights[:, used].contiguous()
