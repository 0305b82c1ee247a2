"""IDN, the information distillation network (Hui, Wang, Gao, CVPR 2018)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from .base import Color, SRNetwork, Stage, Tap, check_scales
from .bicubic import kaiming_network_
from .recognize import Recognized, color_of
from .subpixel import SubPixelConvolution, TransposedConvolution

SLOPE = 0.05


class IDN(SRNetwork):
    """Two convolutions, four distillation blocks, and a 17x17 transposed convolution to a residual.

    Output = bicubically upscaled input + residual. The taps `feature_extraction` and `block1` to
    `block4` are at LR resolution, and all are cuts.

    Args:
        scale: upscaling factor, 2 to 8.
        color: "y" or "rgb".

    552,769 parameters with "y", at every scale.
    """

    type_name = "IDN"

    def __init__(self, scale: int, color: Color = "y") -> None:
        super().__init__()
        self.arguments = {"scale": scale, "color": color}
        self.scales, self.color = check_scales(self.type_name, range(2, 9), scale), color
        names = ("feature_extraction", "block1", "block2", "block3", "block4")
        self.taps = {name: Tap(64) for name in names}
        self.receptive_radius = 2 + 4 * 6 + max(8 // scale, 1 + 7 // scale)
        self.feature_extraction = nn.Sequential(*_activated(self.channels, 64), *_activated(64, 64))
        self.blocks = nn.ModuleList(DistillationBlock() for _ in range(4))
        # The authors' residual (padding 8) belongs at offset scale - 1 of the output; with this padding
        # it starts at 0; the layer cuts off the rows and columns beyond the output.
        self.reconstruction: nn.Module = TransposedConvolution(64, self.channels, 17, scale, padding=9 - scale)

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        if "blocks.0.compression.0.weight" not in tensors:
            return None
        color = color_of(tensors["reconstruction.weight"].shape[1])
        return Recognized(cls.type_name, {"color": color}, dict(tensors))

    def context(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.rounded(x), self.bicubic(x, self.scale)

    def stages(self) -> Sequence[Stage]:
        return [
            ("feature_extraction", lambda _, context: self.feature_extraction(context[0])),
            *((f"block{number}", _apply(block)) for number, block in enumerate(self.blocks, start=1)),
            ("output", lambda state, context: context[1] + self.reconstruction(state)),
        ]

    def deploy(self) -> Self:
        network = super().deploy()
        if isinstance(network.reconstruction, TransposedConvolution):
            network.reconstruction = SubPixelConvolution(network.reconstruction)
        return network

    def initializations(self) -> dict[str, Callable[[], None]]:
        return {**super().initializations(), "kaiming": lambda: kaiming_network_(self, SLOPE), "bicubic": self._bicubic}

    def _bicubic(self) -> None:
        """Start as bicubic upscaling: no residual."""
        kaiming_network_(self, SLOPE)
        for parameter in self.reconstruction.parameters():
            parameter.zero_()


class DistillationBlock(nn.Module):
    """Enhancement and compression (IDN, section 3.2): 16 of 64 channels skip the second half, 64 -> 64."""

    def __init__(self) -> None:
        super().__init__()
        self.above = nn.Sequential(*_activated(64, 48), *_activated(48, 32, groups=4), *_activated(32, 64))
        self.below = nn.Sequential(*_activated(48, 64), *_activated(64, 48, groups=4), *_activated(48, 80))
        self.compression = nn.Sequential(*_activated(80, 64, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = self.above(x).split([16, 48], dim=1)
        return self.compression(self.below(rest) + torch.cat([x, kept], dim=1))


def _activated(cin: int, cout: int, *, kernel: int = 3, groups: int = 1) -> tuple[nn.Conv2d, nn.LeakyReLU]:
    return nn.Conv2d(cin, cout, kernel, padding=kernel // 2, groups=groups), nn.LeakyReLU(SLOPE, inplace=True)


def _apply(module: nn.Module) -> Callable[[Tensor, object], Tensor]:
    return lambda state, _: module(state)
