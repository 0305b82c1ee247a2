"""FSRCNN (Dong, Loy, Tang, ECCV 2016), in the variant of PISR: one PReLU slope per layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from torch import Tensor, nn

from .activation import PReLU, fix_slopes
from .base import Color, Skip, SRNetwork, Stage, Tap, check_scales
from .bicubic import kaiming_network_, set_delta, shifted_upscale_kernels
from .recognize import OWN_KEYS, Recognized, color_of, input_channels_of, inside, skip_of
from .subpixel import SubPixelConvolution, TransposedConvolution

RELEASED = "backbone.network."  # before the keys of PISR's release


class FSRCNN(SRNetwork):
    """Five stages at LR resolution and a 9x9 transposed convolution; with a skip they make a residual.

    Args:
        scale: upscaling factor, 2 to 8.
        color: "y" or "rgb".
        d: feature channels.
        s: shrunken channels.
        m: number of mapping convolutions.
        slope_per_channel: one PReLU slope per channel (the Caffe original) instead of per layer.
        input_channels: channels of the input where it is not an image (a wider compact feature).
        skip: "bicubic": the bicubically upscaled input is added to the output. Luma then need not pass
            through the few channels, and low precision costs next to nothing. "none" in the paper.

    12,644 parameters with the defaults, at every scale.
    """

    type_name = "FSRCNN"

    def __init__(
        self,
        scale: int,
        color: Color = "y",
        d: int = 56,
        s: int = 12,
        m: int = 4,
        slope_per_channel: bool = False,
        input_channels: int | None = None,
        skip: Skip = "none",
    ) -> None:
        super().__init__()
        self.arguments = {
            "scale": scale,
            "color": color,
            "d": d,
            "s": s,
            "m": m,
            "slope_per_channel": slope_per_channel,
            "input_channels": input_channels,
            "skip": skip,
        }
        self.scales, self.color = check_scales(self.type_name, range(2, 9), scale), color
        self.taps = {
            "feature_extraction": Tap(d),
            "shrinking": Tap(s),
            "mapping": Tap(s),
            "expanding": Tap(d),
        }
        self.receptive_radius = 2 + m + (scale + 3) // scale

        def activated(cin: int, cout: int, kernel: int) -> nn.Sequential:
            slopes = PReLU(cout if slope_per_channel else 1)
            return nn.Sequential(nn.Conv2d(cin, cout, kernel, padding=kernel // 2), slopes)

        self.use_skip(skip)
        self.feature_extraction = activated(self.input_channels, d, 5)
        self.shrinking = activated(d, s, 1)
        self.mapping = nn.Sequential(*(activated(s, s, 3) for _ in range(m)))
        self.expanding = activated(s, d, 1)
        self.last_layer: nn.Module = TransposedConvolution(d, self.channels, 9, scale, padding=4)

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """Ours, or the student of PISR's release; the VID heads beside it are left out."""
        known, form = dict(tensors), OWN_KEYS
        if f"{RELEASED}feature_extraction.0.0.weight" in tensors:
            known, form = _renamed(inside(tensors, RELEASED)), "PISR release"
        if "feature_extraction.1.weight" not in known or any(key.startswith("encoder.") for key in known):
            return None
        d, channels = known["feature_extraction.0.weight"].shape[:2]
        output = known["last_layer.weight"].shape[1]
        arguments = {
            "color": color_of(output),
            "d": d,
            "s": known["shrinking.0.weight"].shape[0],
            "m": len({key.split(".")[1] for key in known if key.startswith("mapping.")}),
            "slope_per_channel": known["feature_extraction.1.weight"].numel() > 1,
            "input_channels": input_channels_of(channels, output),
            "skip": skip_of(known),
        }
        return Recognized(cls.type_name, arguments, known, form)

    def context(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.rounded(x), self.skipped(x)

    def stages(self) -> Sequence[Stage]:
        return [
            ("feature_extraction", lambda _, context: self.feature_extraction(context[0])),
            ("shrinking", lambda state, _: self.shrinking(state)),
            ("mapping", lambda state, _: self.mapping(state)),
            ("expanding", lambda state, _: self.expanding(state)),
            ("output", lambda state, context: self._reconstruct(state, context[1])),
        ]

    def _reconstruct(self, state: Tensor, skipped: Tensor | None) -> Tensor:
        result = self.last_layer(state)
        return result if skipped is None else skipped + result

    def deploy(self) -> Self:
        network = super().deploy()
        if isinstance(network.last_layer, TransposedConvolution):
            network.last_layer = SubPixelConvolution(network.last_layer)
        fix_slopes(network)
        return network

    def initializations(self) -> dict[str, Callable[[], None]]:
        return {**super().initializations(), "kaiming": lambda: kaiming_network_(self), "bicubic": self._bicubic}

    def _bicubic(self) -> None:
        """Start as (most of) a bicubic interpolator: exact at x2 and x3, nearly so at x4, where s = 16 makes it so.

        With a skip it is all that there is at the start, exactly. Without one the first channels carry
        deltas through every layer (PReLU passes them, images being positive) and the transposed
        convolution holds the kernel; the others stay random.
        """
        kaiming_network_(self)
        last = self.last_layer
        if "skip" in self._buffers:
            last.weight.zero_()  # type: ignore[operator]
            return
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        room = min(module.out_channels for module in convolutions)
        kernels = shifted_upscale_kernels(self.scale)
        held = [(color, shift) for shift in kernels for color in range(self.channels)][:room]
        for carrier, (color, shift) in enumerate(held):
            set_delta(convolutions[0].weight, convolutions[0].bias, carrier, color, shift)
            for convolution in convolutions[1:]:
                set_delta(convolution.weight, convolution.bias, carrier, carrier)
            last.weight[carrier] = 0  # type: ignore[operator]
            last.weight[carrier, color] = kernels[shift].to(last.weight)  # type: ignore[operator,arg-type]


def _renamed(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PISR's keys, whose stages lie one level deeper, to ours."""
    shallow = {re.sub(r"^(feature_extraction|shrinking|expanding)\.0\.", r"\1.", key): v for key, v in released.items()}
    return {key.replace("last_layer.0.0.", "last_layer."): value for key, value in shallow.items()}
