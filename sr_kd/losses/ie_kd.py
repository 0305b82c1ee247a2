"""Inheritance and exploration: half of the student's channels follows the teacher, half avoids it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ..config.section import Count, OpenFraction, Positive
from ..errors import UsageError
from .autoencoder import (
    AutoEncoder,
    FactorLoss,
    Reconstruction,
    factor_distance,
    root_mean_square,
    unit_factors,
)
from .base import LossInputs, TapPair
from .numerics import full_precision, unit, widen
from .shapes import match_size

SLOPE = 0.1
Inherit = Literal["l1", "l2", "cosine", "partial_l2"]
Explore = Literal["l1", "l2", "cosine", "partial_l2", "orthogonality", "cka"]


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Cosine of the whole factors, per sample: two (N, m, H, W) -> (N,)."""
    one, other = unit_factors(student, teacher)
    return (one * other).sum(1)


def partial_l2(student: Tensor, teacher: Tensor) -> Tensor:
    """As `factor_distance` with p = 2, leaving out elements with student <= teacher <= 0 (Heo et al., 2019)."""
    one, other = unit_factors(student, teacher)
    counts = ~((one <= other) & (other <= 0))
    return root_mean_square((one - other) * counts)


def orthogonality(student: Tensor, teacher: Tensor) -> Tensor:
    """mean squared cosine between every channel map of one factor and every one of the other."""
    student, teacher = match_size(widen(student), widen(teacher))
    with full_precision(student):
        products = unit(student.flatten(2)) @ unit(teacher.flatten(2)).transpose(1, 2)
    return products.square().mean()


def linear_cka(student: Tensor, teacher: Tensor) -> Tensor:
    """Linear centered kernel alignment over the batch, in [0, 1] (Kornblith et al., 2019); 0 for N = 1."""
    student, teacher = match_size(widen(student), widen(teacher))
    with full_precision(student):
        one, other = (_centered_products(factor.flatten(1)) for factor in (student, teacher))
    lengths = torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other)
    return (one * other).sum() / (lengths + 1e-12)


INHERIT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda student, teacher: factor_distance(student, teacher, 1),
    "l2": lambda student, teacher: factor_distance(student, teacher, 2),
    "cosine": lambda student, teacher: (1 - cosine(student, teacher)).mean(),
    "partial_l2": partial_l2,
}
EXPLORE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda student, teacher: -factor_distance(student, teacher, 1),
    "l2": lambda student, teacher: -factor_distance(student, teacher, 2),
    "cosine": lambda student, teacher: cosine(student, teacher).abs().mean(),
    "partial_l2": lambda student, teacher: -partial_l2(student, teacher),
    "orthogonality": orthogonality,
    "cka": linear_cka,
}


class Halves(nn.Module):
    """The student's side of one pair: its channels split in two, and a coder for each part.

    The split is a buffer, so a random one survives a resumed run.
    """

    order: Tensor

    def __init__(
        self, channels: int, factor: int, divide: str, ratio: float, kernel_size: int = 3, use_bn: bool = True
    ) -> None:
        super().__init__()
        if channels < 2:
            raise UsageError("loss IEKD splits the student's channels in two; the tap has only one")
        self.inherited = min(max(1, round(channels * ratio)), channels - 1)
        order = torch.randperm(channels) if divide == "random" else torch.arange(channels)
        self.register_buffer("order", order)
        self.natural = divide == "natural"
        self.inherit = coder(self.inherited, factor, kernel_size, use_bn)
        self.explore = coder(channels - self.inherited, factor, kernel_size, use_bn)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the inheriting and the exploring factor, (N, m, H, W) each."""
        # One gather, then views: the gradient of two gathers costs as much as a coder.
        ordered = feature if self.natural else feature.index_select(1, self.order)
        inherit, explore = ordered.split([self.inherited, ordered.shape[1] - self.inherited], dim=1)
        return self.inherit(inherit), self.explore(explore)


class IEKD(FactorLoss):
    """IE-KD (Huang et al., CVPR 2021), summed over the taps.

    An auto-encoder is trained to reproduce the teacher's feature and then frozen: its middle is the
    teacher's compact knowledge F_T. The student's channels are split into two parts, each with a coder
    of its own: "inherit" draws the first's factor to F_T, "explore" drives the second's away from F_T.
    Factors are compared whole, scaled to length 1 per sample.

    Args:
        pairs: any number of taps; where the two factors differ in size the larger is averaged down.
        k: channels of the factor per teacher channel.
        divide: "natural", the first channels inherit, or "random", drawn once.
        ratio: share of the student's channels that inherits.
        inherit: "l1", mean |F_S - F_T|; "l2", root mean square per sample; "cosine", 1 - cos; "partial_l2".
        explore: minus the same; "cosine", |cos|; or "orthogonality", mean squared cosine of the channel
            maps; "cka", linear centered kernel alignment over the batch.
        use_bn: batch norm in coders and auto-encoder (the authors' default).
        kernel_size: 3 or 1.
        reconstruction: "l1" (the authors' code) or "l2" (the paper), both means over all elements.
        pretrain_iter, pretrain_lr: iterations and Adam's learning rate of the auto-encoder.

    With weights by name: ``{inherit: 10, explore: 10}``. The size of l1, l2 and partial_l2 depends on the
    patch, as 1 / sqrt(C_factor * H * W); the other forms do not. Starting weights for SR with an L1 loss on
    [0, 1]: 10 and 10. The exploring coder can lower its term alone: watch that the student moves too.

    Source: <https://arxiv.org/abs/2107.00181>
    """

    terms = ("inherit", "explore")

    def __init__(
        self,
        pairs: Sequence[TapPair],
        k: Positive = 0.5,
        divide: Literal["natural", "random"] = "natural",
        ratio: OpenFraction = 0.5,
        inherit: Inherit = "l1",
        explore: Explore = "l1",
        use_bn: bool = True,
        kernel_size: Literal[1, 3] = 3,
        reconstruction: Reconstruction = "l1",
        pretrain_iter: Count = 5000,
        pretrain_lr: Positive = 1e-3,
    ) -> None:
        teacher_side = partial(coders, kernel_size=kernel_size, use_bn=use_bn)
        super().__init__(pairs, teacher_side, k, reconstruction, pretrain_iter, pretrain_lr)
        self.inherit, self.explore = inherit, explore
        self.halves = nn.ModuleDict()
        for pair in self.pairs:
            channels, factor = pair.student_tap.channels, self.factor_channels(pair)
            self.halves[pair.key] = Halves(channels, factor, divide, ratio, kernel_size, use_bn)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        inherit, explore = [], []
        for pair, student, knowledge in self.factors(inputs):
            inheriting, exploring = self.halves[pair.key](student)
            inherit.append(INHERIT[self.inherit](inheriting, knowledge))
            explore.append(EXPLORE[self.explore](exploring, knowledge))
        return {"inherit": torch.stack(inherit).sum(), "explore": torch.stack(explore).sum()}


def coder(cin: int, cout: int, kernel_size: int = 3, use_bn: bool = True) -> nn.Sequential:
    """Three bias-free convolutions cin -> cin -> cout -> cout, leaky ReLU 0.1 after each.

    With batch norm a leaky ReLU also comes first. Weights from N(0, sqrt(2 / (k^2 * out))).
    """
    layers: list[nn.Module] = [nn.LeakyReLU(SLOPE)] if use_bn else []
    for channels, out in ((cin, cin), (cin, cout), (cout, cout)):
        convolution = nn.Conv2d(channels, out, kernel_size, padding=kernel_size // 2, bias=False)
        nn.init.normal_(convolution.weight, std=math.sqrt(2 / (kernel_size**2 * out)))
        layers += [convolution, nn.BatchNorm2d(out)] if use_bn else [convolution]
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)


def coders(channels: int, factor: int, kernel_size: int = 3, use_bn: bool = True) -> AutoEncoder:
    """The teacher's auto-encoder: a coder there and a coder back."""
    return AutoEncoder(coder(channels, factor, kernel_size, use_bn), coder(factor, channels, kernel_size, use_bn))


def _centered_products(rows: Tensor) -> Tensor:
    centered = rows - rows.mean(0, keepdim=True)
    return centered @ centered.T
