"""Parameter and multiply-add counts."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module) -> int:
    """Number of trainable and fixed parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass on an input of this shape (N, C, H, W); nothing is computed.

    A transposed convolution counts its true work, each input pixel times the kernel; the literature's
    6.0 G for FSRCNN x2 counts it at output resolution.
    """
    shapes = copy.deepcopy(network).to("meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shapes(torch.zeros(shape, device="meta", dtype=next(shapes.parameters()).dtype))
    return counter.get_total_flops() // 2
