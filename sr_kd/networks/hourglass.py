"""PISR's encoder: it sees the HR image and squeezes it to LR size (PISR, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .activation import PReLU
from .base import Color, Network, check_scales
from .bicubic import downscale_segments, kaiming_network_, set_delta
from .recognize import Recognized, color_of


class Hourglass(Network):
    """Four convolutions, the second with stride `scale`.

    Args:
        scale: 2, 3 or 4.
        color: "y" or "rgb": channels of HR, and of the compact feature unless `k` widens it.
        d: wide channels.
        s: narrow channels.
        k: compact channels per image channel; with k > 1 the decoder cannot initialize a student.

    86,084 parameters for "y", 89,102 for "rgb", at every scale.
    """

    type_name = "Hourglass"
    is_part = True

    def __init__(self, scale: int, color: Color = "y", d: int = 56, s: int = 12, k: int = 1) -> None:
        super().__init__()
        self.arguments = {"scale": scale, "color": color, "d": d, "s": s, "k": k}
        self.scales, self.color = check_scales(self.type_name, range(2, 5), scale), color
        self.scale, channels = scale, 1 if color == "y" else 3
        self.compact_channels = channels * k
        self.layers = nn.Sequential(
            nn.Conv2d(channels, d, 5, padding=2),
            PReLU(),
            nn.Conv2d(d, d, 5, stride=scale, padding=2),
            PReLU(),
            nn.Conv2d(d, s, 3, padding=1),
            PReLU(),
            nn.Conv2d(s, self.compact_channels, 3, padding=1),
        )

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """As `Network.detect`."""
        layers = [f"layers.{index}.{what}" for index in (0, 2, 4, 6) for what in ("weight", "bias")]
        if tensors.keys() != {*layers, *(f"layers.{index}.weight" for index in (1, 3, 5))}:
            return None
        wide, channels = tensors["layers.0.weight"].shape[:2]
        compact, narrow = tensors["layers.6.weight"].shape[:2]
        arguments = {"color": color_of(channels), "d": wide, "s": narrow, "k": compact // channels}
        return Recognized(cls.type_name, arguments, dict(tensors))

    def forward(self, hr: Tensor) -> Tensor:
        """HR (N, C, H * scale, W * scale) -> compact feature (N, C * k, H, W), unbounded."""
        return self.layers(hr)

    def initializations(self) -> dict[str, Callable[[], None]]:
        """Also "kaiming", and "bicubic": start as the antialiased bicubic down-scaler."""
        return {**super().initializations(), "kaiming": lambda: kaiming_network_(self), "bicubic": self._bicubic}

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    def _bicubic(self) -> None:
        """Make the encoder the separable antialiased bicubic, up to its zero padding at the border.

        The kernel is 4 * scale wide; one strided 5x5 window is not. So the strided layer computes
        single-signed partial sums (stored positive, so that PReLU passes them) of one LR pixel's
        width, and the two 3x3 layers at LR resolution add them up over five LR pixels. What lies two
        LR pixels away weighs negative (positive at the corners), and is stored with that sign taken off.
        The random filters beside it sum to zero: an image's mean, passed by 1,400 weights that all move
        alike, would otherwise throw the encoder far off within its first steps.
        """
        kaiming_network_(self)
        first, strided, narrow, last = self._convolutions()
        pieces = downscale_segments(self.scale)
        groups = [(dy, dx) for dy in (0, -1, 1) for dx in (0, -1, 1)]
        if (
            first.in_channels != 1
            or last.out_channels != 1
            or strided.out_channels < len(pieces) ** 2
            or (narrow.out_channels < len(groups))
        ):
            raise UsageError(
                f"Hourglass can hold bicubic only with color 'y', k = 1, d >= {len(pieces) ** 2} and s >= {len(groups)}"
            )
        for convolution in (first, strided):
            convolution.weight -= convolution.weight.mean((2, 3), keepdim=True)
        set_delta(first.weight, first.bias, 0, 0, (1, 1))
        for carrier in range(len(groups)):
            narrow.weight[carrier] = 0
        last.weight.zero_()
        corner = strided.kernel_size[0] // 2 - 1
        carrier = 0
        for ny, vertical in pieces:
            for nx, horizontal in pieces:
                kernel = torch.outer(vertical, horizontal)
                sign = -1.0 if float(kernel.sum()) < 0 else 1.0
                strided.weight[carrier] = 0
                window = strided.weight[carrier, 0, corner : corner + self.scale, corner : corner + self.scale]
                window.copy_(sign * kernel)
                # |n| <= 1 is reached by the narrow layer alone; n = -2, 2 through the last one's shift.
                group = (_beyond(ny), _beyond(nx))
                flipped = -1.0 if group[0] * group[1] == 0 and group != (0, 0) else 1.0
                inner = (1 + ny - group[0], 1 + nx - group[1])
                narrow.weight[groups.index(group), carrier, inner[0], inner[1]] += flipped * sign
                last.weight[0, groups.index(group), 1 + group[0], 1 + group[1]] = flipped
                carrier += 1


def _beyond(n: int) -> int:
    """The last layer's shift that brings an LR offset of -2..2 into the narrow layer's -1..1."""
    return int(n / 2)
