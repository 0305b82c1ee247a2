"""Spatial affinity: which positions resemble each other should agree between student and teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ..config.section import Count
from .base import MIDDLE, ComparedMaps, LossInputs, Position, TapPair
from .numerics import full_precision, unit, widen
from .shapes import match_size, pool_positions, position
from .taps import TapLoss


def affinity(feature: Tensor) -> Tensor:
    """Cosine of the feature vectors of every two positions: (N, C, H, W) -> (N, H * W, H * W).

    Two positions with orthogonal feature vectors:

    >>> import torch
    >>> affinity(torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])).round()
    tensor([[[1., 0.],
             [0., 1.]]])
    """
    vectors = _unit_vectors(feature)
    return vectors @ vectors.transpose(1, 2)


def affinity_with(feature: Tensor, place: Position) -> Tensor:
    """The row of `affinity` that belongs to one position, as a map: (N, C, H, W) -> (N, H, W).

    Args:
        place: of the position.
    """
    vectors = _unit_vectors(feature)
    index = position(feature, place)
    return (vectors @ vectors[:, index, :, None]).view(-1, *feature.shape[2:])


def _unit_vectors(feature: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C)."""
    return unit(feature.flatten(2).transpose(1, 2), eps=1e-6)


class Affinity(TapLoss):
    """FAKD's spatial affinity (He, Dai, Lu, Jiang, Xia, ICIP 2020), summed over the taps.

    mean |A_S - A_T|, A = V V^T of the feature vectors at all positions, each scaled to length 1. Widths may
    differ without an adapter. FAKD compares 48x48 maps whole; larger ones are pooled here, because A grows
    with the square of the number of positions.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        positions: maps are averaged down to at most this many positions, keeping their aspect.

    The size does not depend on the patch. Starting weight for SR with an L1 loss on [0, 1]: 0.1 (FAKD: 10
    with images in 0..255, at three taps).

    Source: <https://github.com/Vincent-Hoo/Knowledge-Distillation-for-Super-resolution>
    """

    terms = ("affinity",)
    shows_any_taps = True

    def __init__(self, pairs: Sequence[TapPair], positions: Count = 576) -> None:
        super().__init__(pairs)
        self.positions = positions

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = match_size(widen(student), widen(teacher))
        with full_precision(student):
            of_student = affinity(pool_positions(student, self.positions))
            of_teacher = affinity(pool_positions(teacher, self.positions))
            return (of_student - of_teacher).abs().mean()

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """Which positions resemble the one at `place`; maps are not averaged down."""
        title, text = "affinity with the marked position", "Cosine of the feature vectors, as Affinity compares it."
        return self.both_maps(inputs, title, text, lambda each: affinity_with(each, place), marked=True)
