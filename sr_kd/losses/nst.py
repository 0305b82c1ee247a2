"""Neuron selectivity transfer: the student's channels should select the same regions as the teacher's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from ..config.section import Count, NonNegative, Positive
from ..errors import UsageError
from .base import MIDDLE, ComparedMaps, LossInputs, Position, TapPair
from .numerics import full_precision, unit, widen
from .shapes import match_size, position
from .taps import TapLoss

Kernel = Literal["linear", "poly", "gaussian"]


def linear_mmd(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Squared distance of the mean unit maps, mean over samples: O(C * H * W).

    Args:
        student: (N, C_S, H, W). teacher: (N, C_T, H, W).
        eps: a channel's mean square is raised by this before it is normalized.

    Maps that do not overlap:

    >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    >>> round(linear_mmd(left, right).item(), 3)
    2.0
    """
    difference = _mean_unit_map(student.flatten(2), eps) - _mean_unit_map(teacher.flatten(2), eps)
    return difference.square().sum(1).mean()


def poly_mmd(student: Tensor, teacher: Tensor, d: int = 2, c: float = 0.0, eps: float = 1e-6) -> Tensor:
    """Squared MMD with the kernel (a . b + c)^d; tensors and `eps` as in `linear_mmd`.

    >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    >>> round(poly_mmd(left, right).item(), 3)
    2.0
    """
    student_student, cross, teacher_teacher = _products(student, teacher, eps)
    return (student_student + c).pow(d).mean() + (teacher_teacher + c).pow(d).mean() - 2 * (cross + c).pow(d).mean()


def gaussian_mmd(student: Tensor, teacher: Tensor, sigma: float | None = None, eps: float = 1e-6) -> Tensor:
    """Squared MMD with the kernel exp(-|a - b|^2 / (2 sigma^2)); tensors and `eps` as in `linear_mmd`.

    Args:
        sigma: None: per sample, sigma^2 is the mean squared distance of the student-teacher pairs.

    2 - 2 exp(-1), because the maps are sqrt(2) apart:

    >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    >>> round(gaussian_mmd(left, right, sigma=1.0).item(), 3)
    1.264
    """
    student_student, cross, teacher_teacher = _products(student, teacher, eps)
    # A dead channel has length 0, not 1: the squared lengths are on the diagonals, 2 - 2 a.b would be wrong.
    student_lengths = student_student.diagonal(dim1=1, dim2=2)
    teacher_lengths = teacher_teacher.diagonal(dim1=1, dim2=2)

    def distances(products: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return (rows[:, :, None] + columns[:, None, :] - 2 * products).clamp(min=0)

    apart = distances(cross, student_lengths, teacher_lengths)
    if sigma is None:
        variance = apart.detach().mean((1, 2), keepdim=True).clamp(min=1e-6)
    else:
        variance = torch.full_like(apart[:, :1, :1], sigma**2)

    def similarity(squared: Tensor) -> Tensor:
        return torch.exp(-squared / (2 * variance)).mean()

    return (
        similarity(distances(student_student, student_lengths, student_lengths))
        + similarity(distances(teacher_teacher, teacher_lengths, teacher_lengths))
        - 2 * similarity(apart)
    )


def selected_with(feature: Tensor, place: Position, eps: float = 1e-6) -> Tensor:
    """One row of the Gram matrix over positions: (N, C, H, W) -> (N, H, W).

    The kernel "poly" with d = 2 and c = 0 compares these matrices, sum over channels of f(p) f(q), of the unit maps f.

    Args:
        place: of the position p.
    """
    maps = unit(feature.flatten(2), eps)
    return (maps[:, None, :, position(feature, place)] @ maps).view(-1, *feature.shape[2:])


class NST(TapLoss):
    """Neuron selectivity transfer (Huang, Wang, "Like What You Like", 2017), summed over the taps.

    The squared maximum mean discrepancy between the sets of channel maps f, each a point in R^(H*W)
    normalized to length 1, mean over samples:
    mean k(f_T, f_T') + mean k(f_S, f_S') - 2 mean k(f_S, f_T).
    Computed from C x C products of the channels, never from H*W x H*W Gram matrices (for d = 2, c = 0 both
    are equal), in float32 also under autocast, because it subtracts nearly equal numbers. The paper's
    factor 1/2 is left to the weight. Widths may differ without an adapter; channel order does not matter.

    Args:
        pairs: any number of taps (the paper: one late one); the larger map is averaged down.
        kernel: "poly", "linear" (O(C * H * W)) or "gaussian".
        d: exponent of "poly".
        c: offset of "poly".
        sigma: width of "gaussian"; None: from the data.
        eps: a channel's mean square is raised by this before it is normalized; a channel whose root mean
            square is far below 1e-3 (the default's root) counts as dead, with a finite gradient.

    Raises:
        UsageError: an option of another kernel.

    The size does not depend on the patch. Starting weight for SR with an L1 loss on [0, 1]: 0.2 to 1.

    Source: <https://arxiv.org/abs/1707.01219>
    """

    terms = ("nst",)
    shows_any_taps = True

    def __init__(
        self,
        pairs: Sequence[TapPair],
        kernel: Kernel = "poly",
        d: Count = 2,
        c: NonNegative = 0.0,
        sigma: Positive | None = None,
        eps: Positive = 1e-6,
    ) -> None:
        super().__init__(pairs)
        if kernel != "poly" and (d, c) != (2, 0.0):
            raise UsageError(f"loss NST: d and c are options of the kernel 'poly'; here it is '{kernel}'")
        if kernel != "gaussian" and sigma is not None:
            raise UsageError(f"loss NST: sigma is an option of the kernel 'gaussian'; here it is '{kernel}'")
        self.kernel, self.d, self.c, self.sigma, self.eps = kernel, d, c, sigma, eps

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        with full_precision(student):
            return self._discrepancy(*match_size(widen(student), widen(teacher)))

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """Which positions the same channels select as the one at `place`, whatever the kernel: `selected_with`."""
        title = "selected with the marked position"
        text = "Which positions the same channels select, as NST compares it."
        return self.both_maps(inputs, title, text, lambda each: selected_with(each, place, self.eps), marked=True)

    def _discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.kernel == "linear":
            return linear_mmd(student, teacher, self.eps)
        if self.kernel == "poly":
            return poly_mmd(student, teacher, self.d, self.c, self.eps)
        return gaussian_mmd(student, teacher, self.sigma, self.eps)


def _mean_unit_map(maps: Tensor, eps: float) -> Tensor:
    """(N, C, n) -> (N, n), without a normalized copy of the maps."""
    channels, positions = maps.shape[1:]
    weights = torch.rsqrt(maps.square().sum(2) + positions * eps) / channels
    return torch.bmm(weights[:, None, :], maps)[:, 0]


def _products(student: Tensor, teacher: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Inner products of the unit maps, student-student, student-teacher and teacher-teacher (N, C, C').

    The maps are multiplied first and the C x C results are scaled, so no normalized copies are kept.
    """
    s, t = student.flatten(2), teacher.flatten(2)
    raw = s @ s.transpose(1, 2), s @ t.transpose(1, 2), t @ t.transpose(1, 2)
    of_student, of_teacher = (
        torch.rsqrt(square.diagonal(dim1=1, dim2=2) + s.shape[2] * eps) for square in (raw[0], raw[2])
    )
    return (
        raw[0] * of_student[:, :, None] * of_student[:, None, :],
        raw[1] * of_student[:, :, None] * of_teacher[:, None, :],
        raw[2] * of_teacher[:, :, None] * of_teacher[:, None, :],
    )
