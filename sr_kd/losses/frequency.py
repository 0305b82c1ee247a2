"""Distance of images in frequency."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import LossInputs
from .image import ImageLoss
from .numerics import full_precision


class FrequencyReconstruction(ImageLoss):
    """mean |F(SR) - F(target)|, the 2-D Fourier transform F being orthonormal: white noise costs alike in both domains.

    An L1 loss in pixels hardly feels fine texture, whose errors are small everywhere; here each frequency counts by
    itself. The frequency reconstruction loss of Cho et al. (MIMO-UNet, ICCV 2021), on one scale; they weigh it 0.1.

    Source: <https://arxiv.org/abs/2108.05054>
    """

    terms = ("frequency",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"frequency": frequency_distance(*self.images(inputs))}


def frequency_distance(image: Tensor, target: Tensor) -> Tensor:
    """mean |F(image) - F(target)| of (N, C, H, W), over real and imaginary parts; F is orthonormal.

    >>> white, black = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    >>> frequency_distance(white, black)  # one frequency of sqrt(16), the other 31 numbers are 0
    tensor(0.1250)
    """
    with full_precision(image):  # half precision has no transform of most sizes
        return torch.view_as_real(torch.fft.fft2(image - target, norm="ortho")).abs().mean()
