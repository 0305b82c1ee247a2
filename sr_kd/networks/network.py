"""The base of every network: a forward pass as named stages, taps to read them at, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from ..errors import UsageError, unknown_name

if TYPE_CHECKING:
    from .recognize import Recognized

Color = Literal["y", "rgb"]
State = Any
Stage = tuple[str, Callable[[State, Any], State]]


@dataclass(frozen=True)
class Tap:
    """A named place in a network at which a feature map can be read.

    Attributes:
        channels: number of feature channels.
        stride: distance of two feature positions in LR pixels: 1 at LR resolution, 1/scale at the
            output's resolution.
        cut: the tap carries everything downstream needs, so `Network.tail` can continue from it.
    """

    channels: int
    stride: float = 1.0
    cut: bool = True


class Network(nn.Module):
    """What option files can name and phases can train, for any task.

    A subclass sets `arguments` and `taps` and describes its forward pass once, as `stages()`: every stage but the
    last is a tap of the same name. Law (tested for every network and cut tap):
    ``tail(tap, features(x, [tap])[1][tap], x) == forward(x)``. No stage overwrites its input: a tapped tensor must
    survive the rest of the forward pass.

    Attributes:
        type_name: the name in option files and checkpoints.
        task: what it is for.
        sees_hr: it is shown HR in the place of LR (a privileged teacher).
        is_part: of another network; no phase trains it alone.
        arguments: the constructor arguments that rebuild this network (self-describing files).
        taps: the named stages.
        scales: upscaling factors; several for multi-scale networks, none for a network that does not upscale.
        color: "y" (one channel, BT.601 luma) or "rgb" (three channels), values in [0, 1]; None for other inputs.
    """

    type_name: ClassVar[str]
    task: ClassVar[str] = "super_resolution"
    sees_hr: ClassVar[bool] = False
    is_part: ClassVar[bool] = False
    arguments: dict[str, Any]
    taps: Mapping[str, Tap] = {}
    scales: tuple[int, ...] = ()
    color: Color | None = None

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """What weights without a description are, if they belong to a network of this class; else None.

        Keys and shapes decide. A class that overrides this also knows its own names in other projects' files. It
        may raise what tensors of unexpected shapes lead to (KeyError, ValueError...): that is a no.
        """
        return None

    @property
    def label(self) -> str:
        """In logs."""
        return self.type_name

    def for_scale(self, scale: int) -> Network:
        """The single-scale view of this network; itself if it has one scale only, or none.

        Raises:
            UsageError: the network does not serve this scale.
        """
        if self.scales and scale not in self.scales:
            raise UsageError(f"{self.type_name} serves x{', x'.join(map(str, self.scales))}, not x{scale}")
        return self

    def own_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights without the heads of scales that this network does not serve."""
        return dict(tensors)

    def context(self, x: Tensor) -> Any:
        """What every stage may look at besides the running state, computed once per pass."""
        return x

    def stages(self) -> Sequence[Stage]:
        """(name, function(state, context) -> state) in order; the last stage gives the output."""
        raise TypeError(f"{type(self).__name__} does not define stages()")

    def observe(self, state: State) -> Tensor:
        """The tensor that a tap shows of a stage's state."""
        return state

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] -> what the last stage gives: the SR image, logits..."""
        context = self.context(x)
        state: State = context
        for _, run in self.stages():
            state = run(state, context)
        return state

    def features(self, x: Tensor, taps: Iterable[str], output: bool = True) -> tuple[Tensor | None, dict[str, Tensor]]:
        """One pass that also returns the tapped feature maps.

        Args:
            x: as in `forward`.
            taps: names in `self.taps`.
            output: whether the output is wanted; if not, the pass stops at the deepest tap.

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
        """Continue from a cut tap to the output.

        Args:
            tap: a tap with `cut`.
            feature: its feature map, (N, C_tap, H / stride, W / stride).
            x: what `forward` was given, for networks with a global skip.

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
        """A faster equivalent for inference, equal up to rounding; itself where there is none."""
        return self

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
