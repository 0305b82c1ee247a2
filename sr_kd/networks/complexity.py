"""Parameter and multiply-add counts."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def count_parameters(network: nn.Module) -> int:
    """Number of trainable and fixed parameters.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass on an input of this shape (N, C, H, W); nothing is computed.

    A transposed convolution counts its true work, each input pixel times the kernel; the literature's
    6.0 G for FSRCNN x2 counts it at output resolution.

    Nine for each of sixteen pixels:

    >>> count_multiply_adds(nn.Conv2d(1, 1, 3, padding=1, bias=False), (1, 1, 4, 4))
    144
    """
    from torch.utils.flop_counter import FlopCounterMode  # loads Triton where it is installed

    shapes = copy.deepcopy(network).to("meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shapes(torch.zeros(shape, device="meta", dtype=next(shapes.parameters()).dtype))
    return counter.get_total_flops() // 2


@dataclass(frozen=True)
class Effort:
    """What one forward pass takes.

    Attributes:
        multiply_adds: see `count_multiply_adds`.
        activations: values that all convolutions give, as the efficient super-resolution challenges count them.
        memory: bytes in float32 of the weights, and of what the layer that needs most takes and gives. A runtime
            that keeps more than this alive (long skips) needs more.
    """

    multiply_adds: int
    activations: int
    memory: int


def measure_effort(network: nn.Module, shape: tuple[int, ...]) -> Effort:
    """The effort of one forward pass on an input of this shape (N, C, H, W); nothing is computed.

    >>> measure_effort(nn.Conv2d(1, 2, 3, padding=1, bias=False), (1, 1, 4, 4))
    Effort(multiply_adds=288, activations=32, memory=264)
    """
    shapes = copy.deepcopy(network).to("meta")
    given, kept = [0], [0]

    def note(layer: nn.Module, inputs: tuple[object, ...], made: object) -> None:
        values = made.numel() if isinstance(made, Tensor) else 0
        given[0] += values if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 0
        kept[0] = max(kept[0], values + sum(each.numel() for each in inputs if isinstance(each, Tensor)))

    for layer in shapes.modules():
        if not list(layer.children()):
            layer.register_forward_hook(note)
    with torch.no_grad():
        shapes(torch.zeros(shape, device="meta", dtype=next(shapes.parameters()).dtype))
    weights = count_parameters(network)
    return Effort(count_multiply_adds(network, shape), given[0], 4 * (weights + kept[0]))


def count_widest_map(network: nn.Module, example: Tensor) -> int:
    """Values of the largest tensor that a layer gives on this input."""
    sizes = [0]

    def note(_layer: nn.Module, _given: object, made: object) -> None:
        sizes.append(made.numel() if isinstance(made, Tensor) else 0)

    handles = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return max(sizes)
