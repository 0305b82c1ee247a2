"""Small residual networks for classification (He, Zhang, Ren, Sun, CVPR 2016, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ...errors import unknown_name
from ...networks.base import Tap

AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a 1x1 shortcut where the shape changes."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.first = _normalized(cin, cout, 3, stride)
        self.second = _normalized(cout, cout, 3, 1)
        self.shortcut = nn.Identity() if cin == cout and stride == 1 else _normalized(cin, cout, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, H / stride, W / stride)."""
        return functional.relu(self.second(functional.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of residual blocks at full, half and quarter resolution, and a linear classifier.

    It offers what a super-resolution network offers to losses: taps, `features`, `tail`. The taps are
    "stage1" to "stage3", each after its last ReLU, and "pooled", the spatial mean (N, 4 * width, 1, 1).

    Args:
        classes: number of classes.
        channels: of the images, 1 or 3.
        blocks: per stage; 3 gives the paper's 20 layers, 9 its 56.
        width: channels of the first stage, doubled in each of the next; the paper's is 16.
    """

    type_name = "ResNet"
    task = "classification"

    def __init__(
        self, classes: AtLeastTwo, channels: AtLeastOne = 3, blocks: AtLeastOne = 3, width: AtLeastOne = 16
    ) -> None:
        super().__init__()
        self.classes, self.channels = classes, channels
        self.arguments: dict[str, Any] = {"classes": classes, "channels": channels, "blocks": blocks, "width": width}
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

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] -> logits (N, classes)."""
        for run in self._stages().values():
            x = run(x)
        return x

    def features(self, x: Tensor, taps: Iterable[str], output: bool = True) -> tuple[Tensor | None, dict[str, Tensor]]:
        """As `SRNetwork.features`, with logits in the place of the SR image."""
        wanted = dict.fromkeys(taps)
        for name in wanted:
            self._check_tap(name)
        found: dict[str, Tensor] = {}
        for name, run in self._stages().items():
            if not output and len(found) == len(wanted):
                return None, found
            x = run(x)
            if name in wanted:
                found[name] = x
        return (x if output else None), found

    def tail(self, tap: str, feature: Tensor, x: Tensor) -> Tensor:
        """Continue from a tap to the logits, as `SRNetwork.tail`; the images `x` are not needed."""
        self._check_tap(tap)
        names = list(self._stages())
        for run in list(self._stages().values())[names.index(tap) + 1 :]:
            feature = run(feature)
        return feature

    def initialize(self, how: str) -> None:
        """ "default" (PyTorch's, already there) or "kaiming" (He-normal by fan-out, the paper's).

        Raises:
            UsageError: another initialization.
        """
        if how == "kaiming":
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif how != "default":
            raise unknown_name("initialization of ResNet", how, ["default", "kaiming"])

    def _stages(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """The forward pass, in order; every stage but the last is a tap of the same name."""
        return {
            "stage1": lambda x: self.stage1(functional.relu(self.entry(x))),
            "stage2": self.stage2,
            "stage3": self.stage3,
            "pooled": lambda x: x.mean((2, 3), keepdim=True),
            "output": lambda x: self.classifier(torch.flatten(x, 1)),
        }

    def _check_tap(self, name: str) -> None:
        if name not in self.taps:
            raise unknown_name("tap of ResNet", name, self.taps)


def _normalized(cin: int, cout: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(cin, cout, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(cout))


def residual_stage(cin: int, cout: int, stride: int, blocks: int) -> nn.Sequential:
    """Residual blocks in a row, the first with the stride: (N, cin, H, W) -> (N, cout, H / stride, W / stride)."""
    first = ResidualBlock(cin, cout, stride)
    return nn.Sequential(first, *(ResidualBlock(cout, cout, 1) for _ in range(blocks - 1)))
