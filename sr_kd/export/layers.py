"""Networks of plain layers, for runtimes that know neither slices of channels nor gathered pixels."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.color import rgb_to_ycbcr, ycbcr_to_rgb
from ..imaging.color import TensorFunction
from ..networks.base import SRNetwork

Upscale = Callable[[Tensor, int], Tensor]


def of_layers(network: SRNetwork, *, rgb: bool, upscale: Upscale) -> nn.Module:
    """A deployed network in eval mode, whose bicubic interpolation is `upscale`; its weights are shared.

    Args:
        rgb: a "y" network takes and gives RGB.
        upscale: of (N, C, H, W) by an integer factor, as `sr_kd.networks.bicubic.upscale` computes it.
    """
    inner = copy.copy(network)
    inner.bicubic = upscale
    return (LumaInRGBLayers(inner, network.scale, upscale) if rgb else inner).eval()


class LumaInRGBLayers(nn.Module):
    """As `sr_kd.imaging.graph.LumaInRGB`, the conversions of color as convolutions of 1x1."""

    def __init__(self, network: nn.Module, scale: int, upscale: Upscale) -> None:
        super().__init__()
        self.network, self.scale, self.upscale = network, scale, upscale
        (into, self.offset), (back, self.back_offset) = _matrix(rgb_to_ycbcr), _matrix(ycbcr_to_rgb)
        self.into_y, self.into_chroma, self.from_y, self.from_chroma = into[:1], into[1:], back[:, :1], back[:, 1:]

    def forward(self, rgb: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, H * scale, W * scale), not clamped."""
        y = self.network(functional.conv2d(rgb, self.into_y, self.offset[:1]))
        chroma = self.upscale(functional.conv2d(rgb, self.into_chroma, self.offset[1:]), self.scale)
        return functional.conv2d(y, self.from_y, self.back_offset) + functional.conv2d(chroma, self.from_chroma)


def _matrix(conversion: TensorFunction) -> tuple[Tensor, Tensor]:
    """The weights (3, 3, 1, 1) and offsets (3,) of a conversion between colors."""
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    offset = conversion(black)
    columns = conversion(torch.eye(3, dtype=torch.float64)[..., None, None]) - offset
    return columns.transpose(0, 1).float().contiguous(), offset.flatten().float()
