"""Variational information distillation in its original form: one learned variance per teacher channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from ..config.section import Positive
from .base import MIDDLE, ComparedMaps, Loss, LossInputs, Position, TapPair
from .numerics import widen
from .shapes import match_size
from .vid import gaussian_nll


class ChannelGaussian(nn.Module):
    """q(t | s): mean from three bias-free 1x1 convolutions, variance softplus(log_scale) + eps per channel."""

    def __init__(self, channels: int, teacher_channels: int, variance: float, eps: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(channels, teacher_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
        )
        self.eps = eps
        self.log_scale = nn.Parameter(torch.empty(teacher_channels))
        self.set_variance(torch.full((teacher_channels,), variance))

    def variance(self) -> Tensor:
        """(C,), greater than eps."""
        return functional.softplus(self.log_scale) + self.eps

    def set_variance(self, variance: Tensor) -> None:
        """Set the variance per channel, (C,); what is below 2 eps becomes 2 eps."""
        positive = (variance - self.eps).clamp(min=self.eps)
        with torch.no_grad():
            self.log_scale.copy_(positive + torch.log(-torch.expm1(-positive)))  # the inverse of softplus

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """mean [ (t - mu)^2 / (2 v_c) + log(v_c) / 2 ], target (N, C, H, W)."""
        return gaussian_nll(target, widen(self.mean(feature)), self.variance()[None, :, None, None])


class OriginalVID(Loss):
    """VID (Ahn, Hu, Damianou, Lawrence, Dai, CVPR 2019), summed over the taps.

    mean [ (t - mu(s))^2 / (2 v_c) + log(v_c) / 2 ], without the constant log(2 pi) / 2. PISR's form, in which
    the scale is predicted from the student's feature, is the loss VID.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        init_pred_var: the first variance, or "teacher": that of the first batch's teacher feature per
            channel, which features far from 1 (images in [0, 1]) need. No weight decay acts on it.
        eps: added to the variance; keep it below the features' variance.

    The size follows the logarithm of the features' magnitude, not the patch; its gradient grows as
    1 / v. Starting weight for SR with an L1 loss on [0, 1]: 0.1 with features around 0.1, 1e-6 with features
    around 0.01.

    Source: <https://arxiv.org/abs/1904.05835>
    """

    terms = ("vid",)
    needs_pairs = True

    def __init__(
        self, pairs: Sequence[TapPair], init_pred_var: Positive | Literal["teacher"] = 5.0, eps: Positive = 1e-5
    ) -> None:
        super().__init__(pairs)
        self.from_teacher = init_pred_var == "teacher"
        variance = 1.0 if init_pred_var == "teacher" else float(init_pred_var)
        self.predictors = nn.ModuleDict(
            {
                pair.key: ChannelGaussian(pair.student_tap.channels, pair.teacher_tap.channels, variance, eps)
                for pair in self.pairs
            }
        )

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        losses = []
        for pair, student_map, teacher_map in self.compared(inputs):
            student, teacher = match_size(student_map, teacher_map)
            predictor, target = self.predictors[pair.key], widen(teacher)
            if self.from_teacher and inputs.iteration == 0:
                predictor.set_variance(channel_variance(target))  # type: ignore[operator]
            losses.append(predictor(student, target))
        return {"vid": torch.stack(losses).sum()}

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """The error of the predicted mean; the scale is the same everywhere."""
        for pair, *features in self.compared(inputs):
            student, teacher = match_size(*features)
            yield ComparedMaps.error(pair, self.predictors[pair.key].mean(student), teacher)  # type: ignore[operator]

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        named = list(self.named_parameters())
        scales = [parameter for name, parameter in named if name.endswith("log_scale")]
        others = [parameter for name, parameter in named if not name.endswith("log_scale")]
        return [
            {"params": others, "lr": learning_rate, "weight_decay": weight_decay},
            {"params": scales, "lr": learning_rate, "weight_decay": 0.0},
        ]

    def diagnostics(self) -> dict[str, Tensor]:
        """Mean learned variance per tap."""
        return {
            f"{key}/mean_variance": predictor.variance().detach().mean()  # type: ignore[operator]
            for key, predictor in self.predictors.items()
        }


def channel_variance(feature: Tensor) -> Tensor:
    """Variance per channel (C,) of a map (N, C, H, W), over all processes' shares of the batch."""
    moments = torch.stack([feature.mean((0, 2, 3)), feature.square().mean((0, 2, 3))])
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(moments)
        moments /= distributed.get_world_size()
    return (moments[1] - moments[0].square()).clamp(min=0)
