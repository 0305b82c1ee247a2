"""Exponential moving average of a network: parameters and buffers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class EMA:
    """A smoothed twin of a network.

    Args:
        network: the network that trains.
        decay: weight of the past; the twin moves by (1 - decay) per update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the twin towards the network; integer buffers are copied."""
        ours, theirs = [], []
        for smooth, current in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if smooth.is_floating_point():
                ours.append(smooth)
                theirs.append(current)
            else:
                smooth.copy_(current)
        torch._foreach_lerp_(ours, theirs, 1 - self.decay)

    def state_dict(self) -> dict[str, Tensor]:
        """The twin's weights."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from saved weights."""
        self.network.load_state_dict(state)
