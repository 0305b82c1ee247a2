"""Small residual networks for classification (He, Zhang, Ren, Sun, CVPR 2016, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ...config.section import Count
from ...networks.base import Network, Stage, Tap


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a 1x1 shortcut where the shape changes."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = _normalized(cin, cout, 3, stride)
        self.second = _normalized(cout, cout, 3, 1)
        self.shortcut = nn.Identity() if cin == cout and stride == 1 else _normalized(cin, cout, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, H / stride, W / stride)."""
        # Not by a strided convolution: of 1x1, on few channels, channels last, its gradient overruns memory (PyTorch
        # 2.14.1 with oneDNN, on x86 CPUs without AVX-512).
        kept = x[..., :: self.stride, :: self.stride]
        return functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(kept))


class ResNet(Network):
    """Three stages of residual blocks at full, half and quarter resolution, and a linear classifier.

    The taps are "stage1" to "stage3", each after its last ReLU, and "pooled", the spatial mean (N, 4 * width, 1, 1).

    Args:
        classes: number of classes.
        channels: of the images, 1 or 3.
        blocks: per stage; 3 gives the paper's 20 layers, 9 its 56.
        width: channels of the first stage, doubled in each of the next; the paper's is 16.
    """

    type_name = "ResNet"
    task = "classification"

    def __init__(
        self, classes: Annotated[int, Field(ge=2)], channels: Count = 3, blocks: Count = 3, width: Count = 16
    ) -> None:
        super().__init__()
        self.classes, self.channels = classes, channels
        self.arguments = {"classes": classes, "channels": channels, "blocks": blocks, "width": width}
        self.taps = {
            "stage1": Tap(width, 1),
            "stage2": Tap(2 * width, 2),
            "stage3": Tap(4 * width, 4),
            "pooled": Tap(4 * width, math.inf),
        }
        self.entry = _normalized(channels, width, 3, 1)
        self.stage1 = residual_stage(width, width, 1, blocks)
        self.stage2 = residual_stage(width, 2 * width, 2, blocks)
        self.stage3 = residual_stage(2 * width, 4 * width, 2, blocks)
        self.classifier = nn.Linear(4 * width, classes)

    def stages(self) -> Sequence[Stage]:
        """The last one gives logits (N, classes)."""
        return [
            ("stage1", lambda x, _: self.stage1(functional.relu(self.entry(x)))),
            ("stage2", lambda x, _: self.stage2(x)),
            ("stage3", lambda x, _: self.stage3(x)),
            ("pooled", lambda x, _: x.mean((2, 3), keepdim=True)),
            ("output", lambda x, _: self.classifier(torch.flatten(x, 1))),
        ]

    def initializations(self) -> dict[str, Callable[[], None]]:
        return {**super().initializations(), "kaiming": self._kaiming}

    def _kaiming(self) -> None:
        """He-normal by fan-out, the paper's."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _normalized(cin: int, cout: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(cin, cout, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(cout))


def residual_stage(cin: int, cout: int, stride: int, blocks: int) -> nn.Sequential:
    """Residual blocks in a row, the first with the stride: (N, cin, H, W) -> (N, cout, H / stride, W / stride)."""
    first = ResidualBlock(cin, cout, stride)
    return nn.Sequential(first, *(ResidualBlock(cout, cout, 1) for _ in range(blocks - 1)))
