"""Pixel losses between the trained network's output and HR (or the teacher's image), means over all elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..config.section import Positive
from .base import LossInputs, TapPair
from .image import ImageLoss, Target


class L1(ImageLoss):
    """mean |SR - target|."""

    terms = ("l1",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"l1": functional.l1_loss(*self.images(inputs))}


class L2(ImageLoss):
    """mean (SR - target)^2."""

    terms = ("l2",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"l2": functional.mse_loss(*self.images(inputs))}


class Charbonnier(ImageLoss):
    """mean sqrt((SR - target)^2 + eps^2) (Lai et al., LapSRN, 2017).

    Args:
        eps: the error below which the loss turns from |x| to x^2.
        target: what SR shall look like: "hr", or "teacher", the teacher's image.

    Source: <https://arxiv.org/abs/1704.03915>
    """

    terms = ("charbonnier",)

    def __init__(self, pairs: Sequence[TapPair] = (), eps: Positive = 1e-3, target: Target = "hr") -> None:
        super().__init__(pairs, target)
        self.eps = eps

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        sr, target = self.images(inputs)
        return {"charbonnier": torch.sqrt((sr - target) ** 2 + self.eps**2).mean()}
