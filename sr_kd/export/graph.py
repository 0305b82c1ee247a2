"""Networks as self-contained graphs for other runtimes: color, precision and free sizes inside."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..data.color import rgb_to_ycbcr, ycbcr_to_rgb
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale

Precision = Literal["fp32", "fp16"]
MACHINE_DEPENDENT = {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}


def luma_in_rgb(network: nn.Module, scale: int, rgb: Tensor) -> Tensor:
    """RGB through a network of luma; chroma is upscaled bicubically.

    Args:
        network: (N, 1, H, W) -> (N, 1, H * scale, W * scale).
        rgb: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 3, H * scale, W * scale), not clamped.
    """
    ycbcr = rgb_to_ycbcr(rgb)
    return ycbcr_to_rgb(torch.cat([network(ycbcr[:, :1]), upscale(ycbcr[:, 1:], scale)], dim=1))


class LumaInRGB(nn.Module):
    """A "y" network with its color handling, `luma_in_rgb` as a module."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, rgb: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, H * scale, W * scale), not clamped."""
        return luma_in_rgb(self.network, self.scale, rgb)


class HalfInside(nn.Module):
    """A copy of a network in half precision, between float32 input and output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float32 -> (N, C, H * scale, W * scale) float32."""
        return self.network(x.half()).float()


def assemble(network: SRNetwork, *, rgb: bool, precision: Precision) -> nn.Module:
    """A deployed network with what goes around it, in eval mode; color stays in float32."""
    inner: nn.Module = HalfInside(network) if precision == "fp16" else network
    return (LumaInRGB(inner, network.scale) if rgb else inner).eval()


def trace(graph: nn.Module, channels: int) -> ExportedProgram:
    """The graph with batch, height and width free; `channels` is its input's."""
    with torch.no_grad(), quietly():
        return torch.export.export(graph, (torch.rand(2, channels, 17, 23),), dynamic_shapes=(MACHINE_DEPENDENT,))


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' remarks on their own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
