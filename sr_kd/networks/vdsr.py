"""VDSR (Kim, Lee, Lee, CVPR 2016): a deep residual network on the bicubically upscaled image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from .base import Color, SRNetwork, Stage, Tap, check_scales
from .bicubic import kaiming_network_, upscale_reach
from .recognize import OWN_KEYS, Recognized, color_of


class VDSR(SRNetwork):
    """3x3 convolutions without biases at the output's resolution; output = upscaled input + residual.

    The same weights can serve several scales. The taps, at output resolution, are `entry` (the first
    layer) and `early`, `middle`, `late` (each a third of the layers between the first and the last).
    All are cuts: the upscaled input is made anew from LR.

    Args:
        scale: upscaling factor, 2 to 8.
        scales: several, for one network that serves them all; the taps' strides are then the first one's
            until `for_scale` chooses.
        color: "y" or "rgb".
        layers: number of convolutions, 5 or more.
        width: their channels.

    664,704 parameters with the defaults.
    """

    type_name = "VDSR"

    def __init__(
        self,
        scale: int | None = None,
        color: Color = "y",
        layers: int = 20,
        width: int = 64,
        scales: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if layers < 5:
            raise UsageError(f"VDSR needs at least 5 layers, not {layers}")
        served = check_scales(self.type_name, range(2, 9), scale, scales)
        self.arguments = {"scale": scale, "color": color, "layers": layers, "width": width, "scales": list(scales)}
        self.color = color
        widths = [self.channels, *[width] * (layers - 1), self.channels]
        self.layers = nn.ModuleList(nn.Conv2d(cin, out, 3, padding=1, bias=False) for cin, out in pairwise(widths))
        self._serve(served)

    def _serve(self, scales: tuple[int, ...]) -> None:
        self.scales = scales
        width, depth = self.arguments["width"], len(self.layers)
        self.taps = {name: Tap(width, 1 / scales[0]) for name in ("entry", "early", "middle", "late")}
        self.receptive_radius = max(upscale_reach(scale, depth) for scale in scales)

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """Ours, or github.com/twtygqyy/pytorch-vdsr: its weights serve every scale, and were trained for x2 to x4."""
        known, form = dict(tensors), OWN_KEYS
        if "residual_layer.0.conv.weight" in tensors:
            middle = [f"residual_layer.{index}.conv.weight" for index in range(len(tensors) - 2)]
            names = ("input.weight", *middle, "output.weight")
            known, form = {f"layers.{index}.weight": tensors[name] for index, name in enumerate(names)}, "pytorch-vdsr"
        if "layers.0.weight" not in known or "layers.0.bias" in known:
            return None
        width, channels = known["layers.0.weight"].shape[:2]
        layers = sum(key.startswith("layers.") for key in known)
        arguments = {"color": color_of(channels), "layers": layers, "width": width, "scales": [2, 3, 4]}
        return Recognized(cls.type_name, arguments, known, form)

    def context(self, x: Tensor) -> Tensor:
        return self.bicubic(x, self.scale)

    def stages(self) -> Sequence[Stage]:
        between = len(self.layers) - 2
        bounds = [0, 1, *(1 + between * third // 3 for third in (1, 2, 3))]
        ends = pairwise(bounds)
        return [
            *((name, self._rectified(start, end)) for name, (start, end) in zip(self.taps, ends, strict=True)),
            ("output", lambda state, upscaled: upscaled + self.layers[-1](state)),
        ]

    def _rectified(self, start: int, end: int) -> Callable[[Tensor, Tensor], Tensor]:
        def run(state: Tensor, _: Tensor) -> Tensor:
            state = self.rounded(state)
            for layer in self.layers[start:end]:
                state = functional.relu_(layer(state))
            return state

        return run

    def initializations(self) -> dict[str, Callable[[], None]]:
        return {
            **super().initializations(),
            "kaiming": lambda: kaiming_network_(self, slope=0.0),
            "bicubic": self._bicubic,
        }

    def _bicubic(self) -> None:
        """Start as bicubic upscaling: no residual."""
        kaiming_network_(self, slope=0.0)
        for weight in self.layers[-1].parameters():
            weight.zero_()
