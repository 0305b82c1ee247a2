"""Pixel losses between the trained network's output and HR, means over all elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .base import Loss, LossInputs, TapPair
from .options import Positive


class L1(Loss):
    """mean |SR - HR|."""

    terms = ("l1",)
    tasks = ("super_resolution",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"l1": functional.l1_loss(inputs.trained_output, inputs.hr)}


class L2(Loss):
    """mean (SR - HR)^2."""

    terms = ("l2",)
    tasks = ("super_resolution",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"l2": functional.mse_loss(inputs.trained_output, inputs.hr)}


class Charbonnier(Loss):
    """mean sqrt((SR - HR)^2 + eps^2) (Lai et al., LapSRN, 2017).

    Args:
        eps: the error below which the loss turns from |x| to x^2.

    Source: <https://arxiv.org/abs/1704.03915>
    """

    terms = ("charbonnier",)
    tasks = ("super_resolution",)

    def __init__(self, pairs: Sequence[TapPair] = (), eps: Positive = 1e-3) -> None:
        super().__init__(pairs)
        self.eps = eps

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        error = inputs.trained_output - inputs.hr
        return {"charbonnier": torch.sqrt(error * error + self.eps**2).mean()}
