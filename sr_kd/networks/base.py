"""The base of every super-resolution network: stages, taps, and the tail law."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from ..errors import UsageError, unknown_name
from .bicubic import upscale, upscale_by_convolution
from .recognize import Recognized

Color = Literal["y", "rgb"]
Skip = Literal["none", "bicubic"]
State = Any
Stage = tuple[str, Callable[[State, Any], State]]


@dataclass(frozen=True)
class Tap:
    """A named place in a network at which a feature map can be read.

    Attributes:
        channels: number of feature channels.
        stride: distance of two feature positions in LR pixels: 1 at LR resolution, 1/scale at the
            output's resolution.
        cut: the tap carries everything downstream needs, so `SRNetwork.tail` can continue from it.
    """

    channels: int
    stride: float = 1.0
    cut: bool = True


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


class SRNetwork(nn.Module):
    """A network that upscales an LR image.

    A subclass sets `scales`, `color`, `taps` and `receptive_radius`, and describes its forward
    pass once, as `stages()`: every stage but the last is a tap of the same name. Law (tested for
    every network and cut tap): ``tail(tap, features(x, [tap])[1][tap], x) == forward(x)``.
    No stage overwrites its input: a tapped tensor must survive the rest of the forward pass.

    Attributes:
        type_name: the name in option files and checkpoints.
        arguments: the constructor arguments that rebuild this network (self-describing files).
        scales: upscaling factors; several for multi-scale networks.
        color: "y" (one channel, BT.601 luma) or "rgb" (three channels); values in [0, 1].
        taps: the named stages.
        receptive_radius: how many LR pixels to each side one output pixel depends on at most.
    """

    type_name: ClassVar[str]
    arguments: dict[str, Any]
    scales: tuple[int, ...]
    color: Color
    taps: Mapping[str, Tap]
    receptive_radius: int
    bicubic: Callable[[Tensor, int], Tensor] = staticmethod(upscale)  # how a skip is upscaled

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """What weights without a description are, if they belong to a network of this class; else None.

        Keys and shapes decide. A class that overrides this also knows its own names in other projects' files. It
        may raise what tensors of unexpected shapes lead to (KeyError, ValueError...): that is a no.
        """
        return None

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
        """The single-scale view of this network, sharing its parameters; itself if it has one scale only.

        Raises:
            UsageError: the network does not serve this scale.
        """
        if scale not in self.scales:
            raise UsageError(f"{self.type_name} serves x{', x'.join(map(str, self.scales))}, not x{scale}")
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

    def own_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights without the heads of scales that this network does not serve."""
        return dict(tensors)

    def context(self, x: Tensor) -> Any:
        """What every stage may look at besides the running state, computed once per pass.

        Here it is the input in the weights' precision. What skips the layers is better left in the
        input's: luma that passes in half precision costs several hundredths of a dB.
        """
        return self.rounded(x)

    def rounded(self, x: Tensor) -> Tensor:
        """The input in the precision of the weights."""
        return x.to(next(self.parameters(), x).dtype)

    def stages(self) -> Sequence[Stage]:
        """(name, function(state, context) -> state) in order; the last stage gives the SR image."""
        raise TypeError(f"{type(self).__name__} does not define stages()")

    def observe(self, state: State) -> Tensor:
        """The tensor that a tap shows of a stage's state."""
        return state

    def forward(self, x: Tensor) -> Tensor:
        """LR (N, C, H, W) in [0, 1] -> SR (N, C, H * scale, W * scale), not clamped.

        LR may be more precise than the weights; SR is in the precision of the more precise if LR is added to it.
        """
        context = self.context(x)
        state: State = context
        for _, run in self.stages():
            state = run(state, context)
        return state

    def features(self, x: Tensor, taps: Iterable[str], output: bool = True) -> tuple[Tensor | None, dict[str, Tensor]]:
        """One pass that also returns the tapped feature maps.

        Args:
            x: LR (N, C, H, W).
            taps: names in `self.taps`.
            output: whether the SR image is wanted; if not, the pass stops at the deepest tap.

        Raises:
            UsageError: a tap that the network does not have.
        """
        wanted = self.check_taps(taps)
        found: dict[str, Tensor] = {}
        context = self.context(x)
        state: State = context
        for name, run in self.stages():
            if not output and len(found) == len(wanted):
                return None, found
            state = run(state, context)
            if name in wanted:
                found[name] = self.observe(state)
        return (state if output else None), found

    def tail(self, tap: str, feature: Tensor, x: Tensor) -> Tensor:
        """Continue from a cut tap to the SR image.

        Args:
            tap: a tap with `cut`.
            feature: its feature map, (N, C_tap, H / stride, W / stride).
            x: the LR image that belongs to it (N, C, H, W), for networks with a global skip.

        Raises:
            UsageError: no such tap, or one that is not a cut.
        """
        (tap,) = self.check_taps([tap])
        if not self.taps[tap].cut:
            cuts = ", ".join(name for name, value in self.taps.items() if value.cut) or "none"
            raise UsageError(f"tap '{tap}' of {self.type_name} does not carry everything downstream; cuts: {cuts}")
        stages = list(self.stages())
        start = [name for name, _ in stages].index(tap) + 1
        context = self.context(x)
        state: State = feature
        for _, run in stages[start:]:
            state = run(state, context)
        return state

    def check_taps(self, taps: Iterable[str]) -> list[str]:
        """The distinct tap names, checked. Raises UsageError with the nearest name."""
        names = list(dict.fromkeys(taps))
        for name in names:
            if name not in self.taps:
                raise unknown_name(f"tap of {self.type_name}", name, self.taps)
        return names

    def deploy(self) -> Self:
        """A faster equivalent for inference: equal up to rounding (1e-5 float32, 1e-12 float64)."""
        network = copy.deepcopy(self).eval()
        network.bicubic = upscale_by_convolution
        return network

    def initialize(self, how: str) -> None:
        """Re-initialize the weights: "default" (PyTorch's, already there), or what the network offers.

        Raises:
            UsageError: this network cannot hold that initialization.
        """
        offered = self.initializations()
        if how not in offered:
            raise unknown_name(f"initialization of {self.type_name}", how, offered)
        with torch.no_grad():
            offered[how]()

    def initializations(self) -> dict[str, Callable[[], None]]:
        """The initializations this network can hold, by name."""
        return {"default": lambda: None}
