"""Losses weighted by their pull: the norm of their gradient beside the first loss'."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

EVERY = 10  # iterations between two measurements, each of which costs a backward pass per term
_MEMORY = 0.8  # what a measurement keeps of those before it
_SURPRISE = math.log(10.0)  # a term that pulls ten times harder than it should is not waited for


class Pulls(nn.Module):
    """Weights that follow their terms' gradients, so that each pulls as it is told to, all along.

    A fixed weight means little: it depends on the size of features and patches, and as a likelihood's scale
    narrows, or a regressor learns, the pull of one weight changes a hundredfold within a run. Measured every
    `EVERY` iterations; the logarithms are averaged over the last few. The averages are buffers: a
    resumed run goes on with them.

    Args:
        pulls: name of a term -> norm of its weighted gradient at the student, relative to the first loss'.
    """

    strength: Tensor

    def __init__(self, pulls: Mapping[str, float]) -> None:
        super().__init__()
        self.pulls = dict(pulls)
        # Logarithm of the pull at weight 1; NaN until it is measured.
        self.register_buffer("strength", torch.full((len(self.pulls),), math.nan))

    def __contains__(self, term: str) -> bool:
        return term in self.pulls

    @staticmethod
    def due(iteration: int) -> bool:
        """Whether to measure at this iteration."""
        return iteration % EVERY == 0

    def weight(self, term: str) -> Tensor:
        """The term's weight now, (), on the device; 0 as long as it had no gradient."""
        strength = self.strength[list(self.pulls).index(term)]
        return (self.pulls[term] * torch.exp(-strength)).nan_to_num(0.0)

    def follow(self, norms: Tensor) -> None:
        """Take over one measurement.

        Args:
            norms: (1 + terms,), of the first loss' weighted gradient and of each pulled term's at weight 1. A term
                without a gradient, such as one that chance has left out, keeps its weight.
        """
        now = (norms[1:] / norms[0]).log().to(self.strength)
        known = self.strength.isfinite()
        averaged = torch.where(known, _MEMORY * self.strength + (1 - _MEMORY) * now, now).maximum(now - _SURPRISE)
        self.strength.copy_(torch.where(now.isfinite(), averaged, self.strength))
