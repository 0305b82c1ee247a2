"""Distance of images in their gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import LossInputs
from .image import ImageLoss


class GradientDifference(ImageLoss):
    """mean ||dSR| - |dtarget||, d being the differences of neighbors, down and to the right.

    Edges shall be as steep as the target's. Mathieu et al. (ICLR 2016), equation 6 with exponent 1, as a mean of each
    direction and not as a sum over pixels.

    Source: <https://arxiv.org/abs/1511.05440>
    """

    terms = ("gradient",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"gradient": gradient_difference(*self.images(inputs))}


def gradient_difference(image: Tensor, target: Tensor) -> Tensor:
    """Sum over both directions of the mean ||dimage| - |dtarget||; (N, C, H, W), both sides 2 or more.

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> gradient_difference(ramp, 3 * ramp)  # 2 to the right, 0 down
    tensor(2.)
    """
    distances = [(image.diff(dim=side).abs() - target.diff(dim=side).abs()).abs().mean() for side in (-2, -1)]
    return torch.stack(distances).sum()
