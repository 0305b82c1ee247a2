"""Attention transfer: the student should be active where the teacher is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from ..config.section import AtLeastOne
from .base import MIDDLE, ComparedMaps, LossInputs, Position, TapPair
from .numerics import unit, widen
from .shapes import match_size
from .taps import TapLoss

Form = Literal["code", "paper"]


def energy(feature: Tensor, p: float = 2) -> Tensor:
    """mean over channels of |F|^p: (N, C, H, W) -> (N, H * W).

    >>> energy(torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]]))
    tensor([[5., 2.]])
    """
    powers = feature.square() if p == 2 else feature.abs().pow(p)
    return powers.mean(1).flatten(1)


def attention_transfer(student: Tensor, teacher: Tensor, p: float = 2, form: Form = "code") -> Tensor:
    """Distance of the normalized energy maps Q = unit(energy(F)).

    Args:
        student: (N, C_S, H, W). teacher: (N, C_T, H, W).
        p: power of the activations.
        form: "code", mean over samples and positions of (Q_S - Q_T)^2; "paper", mean over samples of
            |Q_S - Q_T|_2 / 2.

    Active at different positions:

    >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    >>> round(attention_transfer(left, right).item(), 4)
    1.0
    """
    eps = max(1e-10**p, 1e-30)  # of an energy map whose features have a mean square of 1e-10
    difference = unit(energy(student, p), eps) - unit(energy(teacher, p), eps)
    if form == "code":
        return difference.square().mean()
    return torch.linalg.vector_norm(difference, dim=1).mean() / 2


class AT(TapLoss):
    """Attention transfer (Zagoruyko, Komodakis, ICLR 2017, equation 2), summed over the taps.

    Published numbers come from the form of the authors' code, the default; the equation's un-squared
    norm is offered as "paper". Widths may differ without an adapter.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        p: power of the activations, 1 or more; odd powers are of the absolute value.
        form: "code" or "paper".

    The size depends on the patch: "code" falls as 1 / (H * W), "paper" is independent of it. Starting
    weight for SR with an L1 loss on [0, 1] and 96x96 maps: 180 ("code").

    Source: <https://arxiv.org/abs/1612.03928>
    """

    terms = ("at",)
    shows_any_taps = True

    def __init__(self, pairs: Sequence[TapPair], p: AtLeastOne = 2.0, form: Form = "code") -> None:
        super().__init__(pairs)
        self.p, self.form = p, form

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = match_size(student, teacher)
        return attention_transfer(widen(student), widen(teacher), self.p, self.form)

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """The attention maps: energy, scaled to length 1."""
        return self.both_maps(inputs, "attention", "Energy at every position, as AT compares it.", self._attention)

    def _attention(self, feature: Tensor) -> Tensor:
        return unit(energy(feature, self.p)).view(-1, *feature.shape[2:])
