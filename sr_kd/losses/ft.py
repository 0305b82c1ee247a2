"""Factor transfer: the student's translated feature should resemble the teacher's paraphrased one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ..config.section import Count, Positive
from .autoencoder import AutoEncoder, FactorLoss, Reconstruction, factor_distance
from .base import LossInputs, TapPair

SLOPE = 0.1


class FT(FactorLoss):
    """Factor transfer (Kim, Park, Kwak, NeurIPS 2018), summed over the taps.

    A paraphraser (three convolutions and three transposed ones, leaky ReLU 0.1 after each) is trained
    to reproduce the teacher's feature, then frozen; its middle is the teacher's factor F_T. A translator
    (three convolutions), trained with the student, makes F_S. The loss is the distance of the whole
    factors, each scaled to length 1 per sample: p = 1, mean |F_S - F_T|; p = 2, the root mean square per sample.

    Args:
        pairs: any number of taps; where the two factors differ in size the larger is averaged down.
        k: channels of the factor per teacher channel.
        p: 1 or 2.
        use_bn: batch norm after each convolution (the authors' code has none).
        kernel_size: 3 or 1; a translator of 3 has four times FSRCNN's parameters.
        reconstruction: "l1" (the authors' code) or "l2" (the paper), both means over all elements.
        pretrain_iter, pretrain_lr: iterations and Adam's learning rate of the paraphraser.

    The size depends on the patch: it falls as 1 / sqrt(C_factor * H * W). Starting weight for SR with an
    L1 loss on [0, 1] and 28 x 96 x 96 factors: 110.

    Source: <https://arxiv.org/abs/1802.04977>
    """

    terms = ("ft",)

    def __init__(
        self,
        pairs: Sequence[TapPair],
        k: Positive = 0.5,
        p: Literal[1, 2] = 1,
        use_bn: bool = False,
        kernel_size: Literal[1, 3] = 3,
        reconstruction: Reconstruction = "l1",
        pretrain_iter: Count = 5000,
        pretrain_lr: Positive = 1e-3,
    ) -> None:
        teacher_side = partial(paraphraser, kernel_size=kernel_size, use_bn=use_bn)
        super().__init__(pairs, teacher_side, k, reconstruction, pretrain_iter, pretrain_lr)
        self.p = p
        self.translators = nn.ModuleDict(
            {
                pair.key: translator(pair.student_tap.channels, self.factor_channels(pair), kernel_size, use_bn)
                for pair in self.pairs
            }
        )

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        losses = [
            factor_distance(self.translators[pair.key](student), factor, self.p)
            for pair, student, factor in self.factors(inputs)
        ]
        return {"ft": torch.stack(losses).sum()}


def translator(channels: int, factor: int, kernel_size: int = 3, use_bn: bool = False) -> nn.Sequential:
    """C -> C -> m -> m convolutions: the student's translator, and the first half of a paraphraser."""
    widths = [(channels, channels), (channels, factor), (factor, factor)]
    return _layers(nn.Conv2d, widths, kernel_size, use_bn)


def paraphraser(channels: int, factor: int, kernel_size: int = 3, use_bn: bool = False) -> AutoEncoder:
    """C -> C -> m -> m, and back m -> m -> C -> C by transposed convolutions."""
    widths = [(factor, factor), (factor, channels), (channels, channels)]
    decoder = _layers(nn.ConvTranspose2d, widths, kernel_size, use_bn)
    return AutoEncoder(translator(channels, factor, kernel_size, use_bn), decoder)


def _layers(
    convolution: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: list[tuple[int, int]], kernel: int, use_bn: bool
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for cin, cout in widths:
        layers.append(convolution(cin, cout, kernel, padding=kernel // 2))
        if use_bn:
            layers.append(nn.BatchNorm2d(cout))
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)
