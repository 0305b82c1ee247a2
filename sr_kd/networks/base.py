"""The base of every super-resolution network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor

from ..errors import UsageError
from .bicubic import upscale, upscale_by_convolution
from .network import Color, Network, Stage, State, Tap

__all__ = ["Color", "Network", "SRNetwork", "Skip", "Stage", "State", "Tap", "check_scales"]

Skip = Literal["none", "bicubic"]


def check_scales(network: str, known: Sequence[int], scale: int | None, scales: Sequence[int] = ()) -> tuple[int, ...]:
    """The scales that a network is built for: one `scale`, or several `scales` (then `scale` is one of them).

    Raises:
        UsageError: none given, or one that the network cannot be built for.
    """
    asked = tuple(sorted(set(scales))) or (() if scale is None else (scale,))
    allowed = f"it can be built for x{', x'.join(map(str, known))}"
    if not asked:
        raise UsageError(f"{network} needs a scale; {allowed}")
    for value in (*asked, asked[0] if scale is None else scale):
        if value not in known:
            raise UsageError(f"{network} cannot upscale x{value}; {allowed}")
    if scale is not None and scale not in asked:
        raise UsageError(f"{network}: scale {scale} is not among its scales {list(asked)}")
    return asked


class SRNetwork(Network):
    """A network that upscales an LR image (N, C, H, W) in [0, 1] to (N, C, H * scale, W * scale), not clamped.

    A subclass sets `scales`, `color`, `taps` and `receptive_radius`, and describes its forward pass as `stages()`.
    LR may be more precise than the weights; SR is in the precision of the more precise if LR is added to it.

    Attributes:
        receptive_radius: how many LR pixels to each side one output pixel depends on at most.
    """

    color: Color
    receptive_radius: int
    bicubic: Callable[[Tensor, int], Tensor] = staticmethod(upscale)  # how a skip is upscaled

    @property
    def scale(self) -> int:
        """The single upscaling factor. Raises UsageError on a multi-scale network."""
        if len(self.scales) != 1:
            raise UsageError(
                f"{self.type_name} serves x{', x'.join(map(str, self.scales))}: choose one with for_scale()"
            )
        return self.scales[0]

    @property
    def channels(self) -> int:
        """Image channels of the output: 1 for "y", 3 for "rgb"."""
        return 1 if self.color == "y" else 3

    @property
    def input_channels(self) -> int:
        """Channels of the input: the image's, unless the network is made for a wider compact feature."""
        return self.arguments.get("input_channels") or self.channels

    def use_skip(self, skip: Skip) -> None:
        """For constructors that offer the choice: "bicubic" makes `skipped` what is to be added to the output.

        A residual network has `skip` (1) among its weights, so that they tell it without a description.

        Raises:
            UsageError: the input is no image, and so nothing that can be added.
        """
        if skip == "bicubic":
            if self.input_channels != self.channels:
                raise UsageError(
                    f"{self.type_name} can have the skip 'bicubic' only with an image as its input, of {self.channels} "
                    f"channel(s), not {self.input_channels}: set skip to 'none', or leave input_channels out"
                )
            self.register_buffer("skip", torch.ones(()))

    def skipped(self, x: Tensor) -> Tensor | None:
        """The upscaled input, in the input's precision; None in a network without a skip."""
        return self.bicubic(x, self.scale) if "skip" in self._buffers else None

    def for_scale(self, scale: int) -> SRNetwork:
        """As `Network.for_scale`; a view shares this network's parameters."""
        super().for_scale(scale)
        if len(self.scales) == 1:
            return self
        view = copy.copy(self)
        view._modules = dict(self._modules)
        view.arguments = {**self.arguments, "scale": scale, "scales": []}
        view._serve((scale,))
        return view

    def _serve(self, scales: tuple[int, ...]) -> None:
        """Set what depends on the scales: `scales`, `taps`, `receptive_radius`, heads (multi-scale networks)."""
        raise TypeError(f"{type(self).__name__} does not define _serve()")

    def context(self, x: Tensor) -> Any:
        """The input in the weights' precision. What skips the layers is better left in the input's: luma that passes
        in half precision costs several hundredths of a dB.
        """
        return self.rounded(x)

    def rounded(self, x: Tensor) -> Tensor:
        """The input in the precision of the weights."""
        return x.to(next(self.parameters(), x).dtype)

    def deploy(self) -> Self:
        """A faster equivalent for inference: equal up to rounding (1e-5 float32, 1e-12 float64)."""
        network = copy.deepcopy(self).eval()
        network.bicubic = upscale_by_convolution
        return network
