"""PISR's variational information distillation: the scale is predicted from the student's feature.

PISR (ECCV 2020), section 3.2: the student's feature f predicts location and scale of the
distribution of the teacher's feature; the loss is its negative log-likelihood (constants left out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ..networks.activation import PReLU
from .base import MIDDLE, ComparedMaps, Loss, LossInputs, Position, TapPair
from .laplace import laplace_nll_of_raw, positive
from .numerics import widen
from .shapes import match_size

Likelihood = Literal["laplace", "gaussian"]
Scale = Literal["pixel_and_channel", "channel", "pixel", "layer"]


def gaussian_nll(target: Tensor, location: Tensor, variance: Tensor) -> Tensor:
    """mean [ log(v) / 2 + (t - mu)^2 / (2 v) ].

    >>> zero = torch.zeros(1, 1, 2, 2)
    >>> gaussian_nll(zero + 1, zero, zero + 1).item()
    0.5
    """
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
        location, raw = self.predict(feature)
        return location, positive(raw, self.factor)

    def predict(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, but the scale before it is made `positive`."""
        raw = widen(self.scale(feature))
        return widen(self.location(feature)), raw.mean(dim=(2, 3), keepdim=True) if self.pool else raw


def _head(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), PReLU(), nn.Conv2d(channels, out, 1))


class VID(Loss):
    """The negative log-likelihood of the teacher's features, summed over the taps.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        likelihood: "laplace" or "gaussian".
        scale: "pixel_and_channel" (the released setting), "channel", "pixel" or "layer": what the
            predicted scale may vary over besides the sample.

    The size of the loss depends on the features' magnitude: with features of 0.01 its value is about
    -5 and its gradient is amplified by 1/b, hence PISR's weight of 1e-6.

    Source: <https://arxiv.org/abs/2007.07524>
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

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        total = inputs.lr.new_zeros(())
        factor = Estimator.FACTOR[self.likelihood]
        for pair, location, raw, target in self._predicted(inputs):
            if self.likelihood == "laplace":
                total = total + laplace_nll_of_raw(target, location, raw, factor)
            else:
                total = total + gaussian_nll(target, location, positive(raw, factor))
            # Only eager steps are measured, and a CUDA graph must not be held on to.
            if not torch.compiler.is_compiling():
                self._seen[pair.key] = location.detach(), raw.detach(), target
        return {"vid": total}

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """The error, and the scale that the student predicted for it, each the mean over channels."""
        for pair, location, raw, target in self._predicted(inputs):
            both = {"error": (target - location).abs(), "predicted scale": self._deviation(raw).expand_as(target)}
            text = (
                "Where the student is sure of the teacher's feature, and where it errs. A calibrated scale is as large "
            )
            text += "as the error, on average."
            maps = {name: each.mean(1).detach() for name, each in both.items()}
            yield ComparedMaps(pair, "error and predicted scale", text, maps)

    def _predicted(self, inputs: LossInputs) -> Iterator[tuple[TapPair, Tensor, Tensor, Tensor]]:
        """Every pair with the location, the scale before it is made `positive`, and the teacher's feature."""
        for pair, student_map, teacher_map in self.compared(inputs):
            student, teacher = match_size(student_map, teacher_map)
            location, raw = self.estimators[pair.key].predict(student)  # type: ignore[operator]
            # As wide as the predictions: a likelihood of scale 1e-3 does not survive half precision.
            yield pair, location, raw, widen(teacher)

    def _deviation(self, raw: Tensor) -> Tensor:
        """The scale in the features' unit: of a Laplace the mean absolute error, of a Gaussian its root mean square."""
        scale = positive(raw, Estimator.FACTOR[self.likelihood])
        return scale if self.likelihood == "laplace" else scale.sqrt()

    def diagnostics(self) -> dict[str, Tensor]:
        """Mean error and mean predicted scale per tap (equal when a Laplace is calibrated)."""
        found = {}
        for key, (location, raw, target) in self._seen.items():
            found[f"{key}/mean_error"] = (target - location).abs().mean()
            found[f"{key}/mean_scale"] = self._deviation(raw).mean()
            found[f"{key}/mean_teacher_feature"] = target.abs().mean()
        return found
