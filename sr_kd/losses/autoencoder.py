"""Auto-encoders of the teacher's features, which are trained before the student and then frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .base import Exchange, PretrainingObjective, TapPair
from .numerics import unit, widen
from .shapes import match_size

Reconstruction = Literal["l1", "l2"]


class AutoEncoder(nn.Module):
    """Encoder and decoder: (N, C, H, W) -> factor (N, m, H, W) -> (N, C, H, W)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, feature: Tensor) -> Tensor:
        """The reconstruction."""
        return self.decoder(self.encoder(feature))

    def factor(self, feature: Tensor) -> Tensor:
        """The factor, a constant: no gradient reaches the encoder."""
        with torch.no_grad():
            return self.encoder(feature)


def reconstruction_objective(
    autoencoders: nn.ModuleDict,
    pairs: Sequence[TapPair],
    distance: Reconstruction,
    total_iter: int,
    learning_rate: float,
) -> PretrainingObjective:
    """Train each pair's auto-encoder (by the pair's key) to reproduce the teacher's feature, mean |.| or mean (.)^2."""
    measure = functional.l1_loss if distance == "l1" else functional.mse_loss

    def loss(exchange: Exchange) -> Tensor:
        features: Mapping[str, Tensor] = exchange.taught.features
        targets = [features[pair.teacher].detach() for pair in pairs]
        made = [autoencoders[pair.key](target) for pair, target in zip(pairs, targets, strict=True)]
        parts = [measure(widen(x), widen(target)) for x, target in zip(made, targets, strict=True)]
        return torch.stack(parts).sum()

    return PretrainingObjective(autoencoders, loss, total_iter, learning_rate)


def unit_factors(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both factors at one size, flattened whole and scaled to length 1: two (N, m * H * W)."""
    student, teacher = match_size(widen(student), widen(teacher))
    return unit(student.flatten(1)), unit(teacher.flatten(1))


def factor_distance(student: Tensor, teacher: Tensor, p: int = 1) -> Tensor:
    """Distance of two factors (N, m, h, w), each scaled to length 1 per sample.

    p = 1: mean |.| over all elements; p = 2: the root mean square per sample, mean over samples. Both fall as
    1 / sqrt(m * H * W).
    """
    one, other = unit_factors(student, teacher)
    if p == 1:
        return (one - other).abs().mean()
    return root_mean_square(one - other)


def root_mean_square(rows: Tensor) -> Tensor:
    """(N, n) -> mean over samples of sqrt(mean x^2); the gradient at a row of zeros is 0."""
    return torch.linalg.vector_norm(rows, dim=1).mean() / math.sqrt(rows.shape[1])
