"""A discriminator, trained in turn with the student: SR shall pass for a real image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..config.section import Count, NonNegative, OpenFraction, Positive
from .base import LossInputs, TapPair
from .discriminator import PatchDiscriminator
from .image import ImageLoss, Target
from .numerics import full_precision, widen

Form = Literal["least_squares", "relativistic"]
_MEMORY = 0.99  # of the running accuracy


class Adversarial(ImageLoss):
    """What the student has to gain by deceiving a discriminator, which takes its own step after each of the student's.

    least_squares: mean (D(SR) - 1)^2 / 2, and for D mean (D(HR) - 1)^2 / 2 + mean D(SR)^2 / 2 (Mao et al., ICCV 2017,
    equation 9). relativistic: the average loss of ESRGAN (Jolicoeur-Martineau, 2018; Wang et al., 2018): is HR more
    real than SR on average, over a process' batch? The optimizer of D is Adam with betas 0.9 and 0.99, whose learning
    rate follows the phase's scheduler.

    Args:
        form: least_squares or relativistic.
        lr: the discriminator's learning rate.
        width: channels of the discriminator's first layer.
        r1: factor of half the squared gradient of D at real images (Mescheder et al., ICML 2018, equation 9); 0: none.
        most_accuracy: of the discriminator, a running mean: above it, the student learns next to nothing.
        on_collapse: what happens then.
        target: what is real: "hr", or "teacher", the teacher's image.

    Sources: <https://arxiv.org/abs/1611.04076>, <https://arxiv.org/abs/1807.00734>, <https://arxiv.org/abs/1801.04406>
    """

    terms = ("adversarial",)

    def __init__(
        self,
        pairs: Sequence[TapPair] = (),
        form: Form = "least_squares",
        lr: Positive = 1e-4,
        width: Count = 32,
        r1: NonNegative = 0.0,
        most_accuracy: OpenFraction = 0.99,
        on_collapse: Literal["warn", "stop"] = "warn",
        target: Target = "hr",
    ) -> None:
        super().__init__(pairs, target)
        self.form, self.lr, self.r1 = form, lr, r1
        self.most_accuracy, self.on_collapse = most_accuracy, on_collapse
        self.discriminator = PatchDiscriminator(width)
        self.register_buffer("accuracy", torch.tensor(0.5))
        self.accuracy: Tensor
        # (real, SR) of each part of an iteration, for the discriminator's own step; None where nobody makes one.
        self.seen: list[tuple[Tensor, Tensor]] | None = None
        self.freeze()

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        sr, real = self.images(inputs)
        if self.seen is not None:
            self.seen.append((real, sr.detach()))
        fake = widen(self.discriminator(sr))
        if self.form == "least_squares":
            return {"adversarial": _squares(fake, 1)}
        with torch.no_grad():
            truth = widen(self.discriminator(real))
        return {"adversarial": _relativistic(fake, truth)}

    def freeze(self) -> None:
        """While the student learns, the discriminator is fixed; its own step thaws it."""
        self.discriminator.eval().requires_grad_(False)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """None: the discriminator has an optimizer of its own."""
        return []

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator minimizes, and how often it is right, in 0..1: scalars."""
        truth, guess = widen(self.discriminator(torch.cat([real, fake]))).chunk(2)
        if self.form == "least_squares":
            loss, right = _squares(truth, 1) + _squares(guess, 0), (truth > 0.5, guess < 0.5)
        else:
            loss, right = _relativistic(truth, guess), (truth > guess.mean(), guess < truth.mean())
        if self.r1:
            loss = loss + self.r1 / 2 * self._penalty(real)
        return loss, torch.cat(right).float().mean()

    def remember(self, accuracy: Tensor) -> None:
        """Move the running accuracy."""
        self.accuracy.lerp_(accuracy.to(self.accuracy), 1 - _MEMORY)

    def _penalty(self, real: Tensor) -> Tensor:
        """Squared gradient of the logits' sum at real images, mean over the batch."""
        with full_precision(real):
            shown = real.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.discriminator(shown).sum(), shown, create_graph=True)
            return slope.square().sum((1, 2, 3)).mean()


def _squares(logits: Tensor, label: float) -> Tensor:
    return (logits - label).square().mean() / 2


def _relativistic(above: Tensor, below: Tensor) -> Tensor:
    """Small where the one is more real than the other's average, and the other less than the one's."""
    one, other = above - below.mean(), below - above.mean()
    return (functional.softplus(-one).mean() + functional.softplus(other).mean()) / 2
