"""Losses weighted by their gradient ratio: the norm of their gradient relative to the first loss'."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

EVERY = 10  # iterations between two measurements, each of which costs a backward pass per term
_MEMORY = 0.8  # what a measurement keeps of those before it
_SURPRISE = math.log(10.0)  # a gradient ten times larger than it should be is not averaged in slowly


class GradientRatios(nn.Module):
    """Weights that follow their terms' gradients, so that each ratio stays as it was chosen.

    A fixed weight means little: it depends on the size of features and patches, and as a likelihood's scale
    narrows, or a regressor learns, the ratio at one weight changes a hundredfold within a run. Measured every
    `EVERY` iterations; the logarithms are averaged over the last few. The averages are buffers: a
    resumed run goes on with them.

    Args:
        targets: name of a term -> norm of its weighted gradient at the student, relative to the first loss'.
    """

    strength: Tensor

    def __init__(self, targets: Mapping[str, float]) -> None:
        super().__init__()
        self.targets = dict(targets)
        # Logarithm of the ratio at weight 1; NaN until it is measured.
        self.register_buffer("strength", torch.full((len(self.targets),), math.nan))

    def __contains__(self, term: str) -> bool:
        return term in self.targets

    @staticmethod
    def due(iteration: int) -> bool:
        """Whether to measure at this iteration."""
        return iteration % EVERY == 0

    def weight(self, term: str) -> Tensor:
        """The term's weight now, (), on the device; 0 as long as it had no gradient."""
        strength = self.strength[list(self.targets).index(term)]
        return (self.targets[term] * torch.exp(-strength)).nan_to_num(0.0)

    def follow(self, norms: Tensor) -> None:
        """Take over one measurement.

        Args:
            norms: (1 + terms,), of the first loss' weighted gradient and of each other term's at weight 1.
                A term without a gradient, such as one that chance has left out, keeps its weight.
        """
        now = (norms[1:] / norms[0]).log().to(self.strength)
        known = self.strength.isfinite()
        averaged = torch.where(known, _MEMORY * self.strength + (1 - _MEMORY) * now, now).maximum(now - _SURPRISE)
        self.strength.copy_(torch.where(now.isfinite(), averaged, self.strength))
