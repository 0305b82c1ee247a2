"""Networks of other packages as teacher or student: their submodules' outputs are recorded by dotted name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError, nearest
from .base import Color, SRNetwork, Tap

PROBE = 48  # sides of the image of the dry run: a multiple of the usual windows (8) and unshuffles (2, 4)


class ForeignNetwork(SRNetwork):
    """Any module that upscales images, (N, C, H, W) in [0, 1] -> (N, C, H * scale, W * scale).

    It keeps the module's own parameter names, so that the module's weights files fit. One dry run
    finds the shapes of the taps; none of them is a cut.

    Args:
        module: the network itself, shared, not copied.
        scale: its upscaling factor.
        color: "rgb" or "y".
        taps: dotted names of submodules as in ``module.named_modules()``, each giving one (N, C, H, W).
        receptive_radius: in LR pixels; it is not measured.
        multiple: sides that the module takes are multiples of this (windows, unshuffles); others are
            padded at the bottom and right, by reflection where they are long enough, and the output is cropped.

    Raises:
        UsageError: an unknown submodule (with the nearest name), one that gives no single feature map, or
            a module that does not upscale by `scale`.
    """

    type_name = "ForeignNetwork"

    def __init__(
        self,
        module: nn.Module,
        scale: int,
        color: Color = "rgb",
        taps: Iterable[str] = (),
        receptive_radius: int = 32,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.multiple = multiple
        self.arguments = {"scale": scale, "color": color, "taps": list(taps), "receptive_radius": receptive_radius}
        self.scales, self.color, self.receptive_radius = (scale,), color, receptive_radius
        object.__setattr__(self, "module", module)  # not registered: that would put a name before its parameters'
        self.module: nn.Module
        outputs = self._probe(self.arguments["taps"])
        self.taps = {
            name: Tap(seen.tensor.shape[1], PROBE / seen.tensor.shape[2], False) for name, seen in outputs.items()
        }
        self._overwritten = frozenset(name for name, seen in outputs.items() if seen.overwritten)
        self._modules, self._parameters, self._buffers = module._modules, module._parameters, module._buffers

    def train(self, mode: bool = True) -> ForeignNetwork:
        super().train(mode)
        self.module.train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.module(self._padded(self.rounded(x)))[..., : height * self.scale, : width * self.scale]

    def features(self, x: Tensor, taps: Iterable[str], output: bool = True) -> tuple[Tensor | None, dict[str, Tensor]]:
        wanted = self.check_taps(taps)
        if not output and not wanted:
            return None, {}
        with recorded(self.module, wanted, copied=self._overwritten, stop=not output) as outputs:
            try:
                sr = self(x)
            except _AllFoundError:
                sr = None
        return sr, {name: outputs[name].tensor for name in wanted}

    def _padded(self, x: Tensor) -> Tensor:
        bottom, right = (-side % self.multiple for side in x.shape[-2:])
        mode = "reflect" if bottom < x.shape[-2] and right < x.shape[-1] else "replicate"
        return functional.pad(x, (0, right, 0, bottom), mode) if bottom or right else x

    def _probe(self, names: list[str]) -> dict[str, Recorded]:
        """Run once on a small image, to see what each tap gives."""
        kind = type(self.module).__name__
        x = torch.zeros(1, self.channels, PROBE, PROBE)
        x = x.to(next(self.module.parameters(), x))  # device and precision
        training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad(), recorded(self.module, names) as outputs:
                sr = self(x)
        except UsageError:
            raise
        except Exception as error:  # foreign code says in many ways that it is made for something else
            problem = (str(error) or type(error).__name__).splitlines()[0]
            raise UsageError(f"{kind} does not accept a {self.color} image {tuple(x.shape)}: {problem}") from None
        finally:
            self.module.train(training)
        expected = (1, self.channels, self.scale * PROBE, self.scale * PROBE)
        if not isinstance(sr, Tensor) or sr.shape != expected:
            raise UsageError(f"{kind} makes {_shape(sr)} of {tuple(x.shape)}, not {expected} (x{self.scale})")
        for name in names:
            if name not in outputs:
                raise UsageError(f"tap '{name}' of {kind} is never called in a forward pass (a container?)")
            seen = outputs[name]
            if seen.calls > 1 or not isinstance(seen.tensor, Tensor) or seen.tensor.ndim != 4:
                raise UsageError(
                    f"tap '{name}' of {kind} gives {_shape(seen.tensor)}, {seen.calls} time(s) in a pass; "
                    f"a tap must give one (N, C, H, W)"
                )
        return {name: outputs[name] for name in names}


@dataclass
class Recorded:
    """What a submodule returned last, how often it ran, and the tensor's version at that time."""

    tensor: Any
    calls: int = 1
    version: int = 0

    @property
    def overwritten(self) -> bool:
        """Whether a later layer worked in place on this output."""
        return self.tensor._version != self.version


class _AllFoundError(Exception):
    """Ends a forward pass whose output is not wanted."""


@contextmanager
def recorded(
    module: nn.Module, names: Iterable[str], *, copied: Iterable[str] = (), stop: bool = False
) -> Iterator[dict[str, Recorded]]:
    """Within the block, the outputs of these submodules are recorded as they are computed.

    Args:
        names: dotted names as in ``module.named_modules()``.
        copied: those of which a copy is recorded, because a later layer overwrites the original in place.
        stop: end the forward pass, by an exception, once all are found.

    Raises:
        UsageError: a name that the module does not have, with the nearest one.
    """
    modules = dict(module.named_modules())
    modules.pop("")
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in modules:
            some = ", ".join(list(modules)[:5])
            raise UsageError(
                f"{type(module).__name__} has no module '{name}'{nearest(name, modules)}; it has {some}, ..."
            )
    found: dict[str, Recorded] = {}

    def record(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        calls = found[name].calls + 1 if name in found else 1
        tracked = isinstance(output, Tensor) and not output.is_inference()
        kept = output.clone() if name in copied else output
        found[name] = Recorded(kept, calls, output._version if tracked else 0)
        if stop and len(found) == len(wanted):
            raise _AllFoundError

    handles = [modules[name].register_forward_hook(partial(record, name)) for name in wanted]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
