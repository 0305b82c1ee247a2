"""PISR's variational information distillation: the scale is predicted from the student's feature.

PISR (ECCV 2020), section 3.2: the student's feature f predicts location and scale of the
distribution of the teacher's feature; the loss is its negative log-likelihood (constants left out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..archs.activation import PReLU
from .base import Exchange, FeatureLoss, TapPair
from .numerics import widen
from .shapes import match_size

Likelihood = Literal["laplace", "gaussian"]
Scale = Literal["pixel_and_channel", "channel", "pixel", "layer"]


def laplace_nll(target: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """mean [ log(2 b) + |t - mu| / b ]; tensors broadcast to the target's shape (N, C, H, W)."""
    return math.log(2) + torch.log(scale).mean() + ((target - location).abs() / scale).mean()


def gaussian_nll(target: Tensor, location: Tensor, variance: Tensor) -> Tensor:
    """mean [ log(v) / 2 + (t - mu)^2 / (2 v) ]."""
    return torch.log(variance).mean() / 2 + ((target - location).square() / variance).mean() / 2


class Estimator(nn.Module):
    """Location and scale of one teacher feature, from the student's (two conv1x1-PReLU-conv1x1 heads)."""

    FACTOR: ClassVar = {"laplace": 0.1, "gaussian": 0.001}

    def __init__(self, channels: int, teacher_channels: int, likelihood: Likelihood, scale: Scale) -> None:
        super().__init__()
        scales = teacher_channels if scale in ("pixel_and_channel", "channel") else 1
        self.location = _head(channels, teacher_channels)
        self.scale = _head(channels, scales)
        self.pool = scale in ("channel", "layer")
        self.factor = self.FACTOR[likelihood]

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> location (N, C_teacher, H, W), scale or variance broadcastable to it, > 0."""
        scale = widen(self.scale(feature))
        if self.pool:
            scale = scale.mean(dim=(2, 3), keepdim=True)
        return self.location(feature), self.factor * functional.softplus(scale) + 1e-8


def _head(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), PReLU(), nn.Conv2d(channels, out, 1))


class VID(FeatureLoss):
    """The negative log-likelihood of the teacher's features, summed over the taps.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        likelihood: "laplace" or "gaussian".
        scale: "pixel_and_channel" (the released setting), "channel", "pixel" or "layer": what the
            predicted scale may vary over besides the sample.

    The size of the loss depends on the features' magnitude: with features of 0.01 its value is about
    -5 and its gradient is amplified by 1/b, hence PISR's weight of 1e-6.
    """

    terms = ("vid",)
    needs_pairs = True

    def __init__(
        self, pairs: Sequence[TapPair], likelihood: Likelihood = "laplace", scale: Scale = "pixel_and_channel"
    ) -> None:
        super().__init__(pairs)
        self.likelihood = likelihood
        self.estimators = nn.ModuleDict(
            {
                pair.key: Estimator(pair.student_tap.channels, pair.teacher_tap.channels, likelihood, scale)
                for pair in self.pairs
            }
        )
        self._seen: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def forward(self, exchange: Exchange) -> dict[str, Tensor]:
        negative_log_likelihood = laplace_nll if self.likelihood == "laplace" else gaussian_nll
        total = exchange.lr.new_zeros(())
        for pair, student_map, teacher_map in self.compared(exchange):
            student, teacher = match_size(student_map, teacher_map)
            location, scale = self.estimators[pair.key](student)
            # A likelihood of scale 1e-3 does not survive half precision.
            location, target = widen(location), widen(teacher)
            total = total + negative_log_likelihood(target, location, scale)
            # Only eager steps are measured, and a CUDA graph must not be held on to.
            if not torch.compiler.is_compiling():
                self._seen[pair.key] = location.detach(), scale.detach(), target
        return {"vid": total}

    def diagnostics(self) -> dict[str, Tensor]:
        """Mean error and mean predicted scale per tap (equal when a Laplace is calibrated)."""
        found = {}
        for key, (location, scale, target) in self._seen.items():
            found[f"{key}/mean_error"] = (target - location).abs().mean()
            found[f"{key}/mean_scale"] = (scale if self.likelihood == "laplace" else scale.sqrt()).mean()
            found[f"{key}/mean_teacher_feature"] = target.abs().mean()
        return found
