"""Exponential moving average of a network: parameters and buffers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ..networks.base import Network


class EMA:
    """A smoothed twin of a network.

    Args:
        network: the network that trains.
        decay: weight of the past; the twin moves by (1 - decay) per update. Early on it is at most (1 + n) / (10 + n)
            after n updates: otherwise the first weights would make up e^-1 of the average after 1 / (1 - decay) of
            them, and weights mixed with those of another function make none.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: Network, updates: int) -> None:
        """Move the twin towards the network, after `updates` such moves; integer buffers are copied."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        ours, theirs = [], []
        for smooth, current in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if smooth.is_floating_point():
                ours.append(smooth)
                theirs.append(current)
            else:
                smooth.copy_(current)
        torch._foreach_lerp_(ours, theirs, 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """The twin's weights."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from saved weights."""
        self.network.load_state_dict(state)
