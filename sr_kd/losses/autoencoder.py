"""Auto-encoders of the teacher's features, which are trained before the student and then frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .base import Loss, LossInputs, PretrainingObjective, TapPair
from .numerics import unit, widen
from .shapes import match_size

Reconstruction = Literal["l1", "l2"]


class AutoEncoder(nn.Module):
    """Encoder and decoder: (N, C, H, W) -> factor (N, m, H, W) -> (N, C, H, W)."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, feature: Tensor) -> Tensor:
        """The reconstruction."""
        return self.decoder(self.encoder(feature))

    def factor(self, feature: Tensor) -> Tensor:
        """The factor, a constant: no gradient reaches the encoder."""
        with torch.no_grad():
            if torch.compiler.is_compiling():  # which fuses passes itself
                return self.encoder(feature)
            return _run_folded(self.encoder, feature)


def _run_folded(layers: nn.Sequential, feature: Tensor) -> Tensor:
    """What the layers compute, frozen batch norms as part of the convolutions before them: a pass less each."""
    folded = None
    for layer, following in pairwise([*layers, nn.Identity()]):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d) and not following.training:
            weight, bias = fuse_conv_bn_weights(
                layer.weight,
                layer.bias,
                following.running_mean,  # type: ignore[arg-type]
                following.running_var,  # type: ignore[arg-type]
                following.eps,
                following.weight,
                following.bias,
            )
            feature = functional.conv2d(feature, weight, bias, layer.stride, layer.padding)
            folded = following
        elif layer is not folded:
            feature = layer(feature)
    return feature


class FactorLoss(Loss):
    """Base of the losses that compare the student with factors of the teacher's features.

    Each pair has an auto-encoder in `autoencoders`, trained to reproduce the teacher's feature before the
    student's phase, then frozen.

    Args:
        pairs: any number of taps.
        autoencoder: (channels of the teacher's tap, channels of the factor) -> an auto-encoder.
        k: channels of the factor per teacher channel.
        reconstruction: "l1" or "l2", means over all elements.
        pretrain_iter, pretrain_lr: iterations and Adam's learning rate of the pre-training.
    """

    needs_pairs = True

    def __init__(
        self,
        pairs: Sequence[TapPair],
        autoencoder: Callable[[int, int], AutoEncoder],
        k: float,
        reconstruction: Reconstruction,
        pretrain_iter: int,
        pretrain_lr: float,
    ) -> None:
        super().__init__(pairs)
        self.k, self.reconstruction = k, reconstruction
        self.pretrain_iter, self.pretrain_lr = pretrain_iter, pretrain_lr
        self.autoencoders = nn.ModuleDict(
            {pair.key: autoencoder(pair.teacher_tap.channels, self.factor_channels(pair)) for pair in self.pairs}
        )
        self.freeze()

    def factor_channels(self, pair: TapPair) -> int:
        """Channels of the pair's factor."""
        return max(1, round(pair.teacher_tap.channels * self.k))

    def factors(self, inputs: LossInputs) -> Iterator[tuple[TapPair, Tensor, Tensor]]:
        """As `compared`, with the teacher's factor, a constant, in place of its feature."""
        for pair, student, teacher in self.compared(inputs):
            yield pair, student, self.autoencoders[pair.key].factor(teacher)  # type: ignore[operator]

    def pretraining(self) -> PretrainingObjective:
        return PretrainingObjective(self.autoencoders, self._reconstruction_loss, self.pretrain_iter, self.pretrain_lr)

    def _reconstruction_loss(self, inputs: LossInputs) -> Tensor:
        measure = functional.l1_loss if self.reconstruction == "l1" else functional.mse_loss
        parts = []
        for pair in self.pairs:
            target = inputs.required_teacher.features[pair.teacher].detach()
            parts.append(measure(widen(self.autoencoders[pair.key](target)), widen(target)))
        return torch.stack(parts).sum()


def unit_factors(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two factors at one size, each as rows (N, h * w * m) scaled to length 1."""
    student, teacher = match_size(widen(student), widen(teacher))
    return unit(student.movedim(1, -1).flatten(1)), unit(teacher.movedim(1, -1).flatten(1))


def factor_distance(student: Tensor, teacher: Tensor, p: int = 1) -> Tensor:
    """Distance of two factors (N, m, h, w), each scaled to length 1 per sample.

    p = 1: mean |.| over all elements; p = 2: the root mean square per sample, mean over samples. Both fall as
    1 / sqrt(m * H * W).
    """
    one, other = unit_factors(student, teacher)
    return functional.l1_loss(one, other) if p == 1 else root_mean_square(one - other)


def root_mean_square(rows: Tensor) -> Tensor:
    """(N, n) -> mean over samples of sqrt(mean x^2); the gradient at a row of zeros is 0."""
    return torch.linalg.vector_norm(rows, dim=1).mean() / math.sqrt(rows.shape[1])
