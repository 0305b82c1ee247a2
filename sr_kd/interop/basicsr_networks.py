"""BasicSR's architectures as networks of ours: ``type: basicsr.EDSR`` in option files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from torch import nn

from ..errors import UsageError, unknown_name
from ..networks.base import Color
from ..networks.foreign import ForeignNetwork
from .basicsr import import_basicsr

SCALE_NAMES = ("upscale", "scale")
CHANNEL_NAMES = ("num_in_ch", "num_out_ch", "in_chans")


@cache
def network_class(name: str) -> type[ForeignNetwork]:
    """The network class around BasicSR's (or a plug-in's) architecture of that name.

    Its options are the architecture's own. ``scale`` and ``color`` fill in what the architecture
    calls ``upscale``, ``num_in_ch``...; ``taps`` names submodules, as in :class:`ForeignNetwork`.
    Parameters keep BasicSR's names, so that weights go both ways.

    Raises:
        UsageError: no such architecture. SrKdError: BasicSR cannot be imported.
    """
    registry = dict(iter(import_basicsr().utils.registry.ARCH_REGISTRY))
    known = {key.removesuffix("_basicsr"): value for key, value in registry.items()}
    if name not in known:
        raise unknown_name("architecture of BasicSR", name, known)
    architecture: type[nn.Module] = known[name]
    signature = inspect.signature(architecture)

    class BasicSRNetwork(ForeignNetwork):
        __doc__ = inspect.getdoc(architecture)
        type_name = f"basicsr.{name}"

        def __init__(
            self,
            scale: int,
            color: Color = "rgb",
            taps: Sequence[str] = (),
            receptive_radius: int = 32,
            **options: Any,
        ) -> None:
            filled = _fill(name, signature, options, scale, 3 if color == "rgb" else 1)
            try:
                module = architecture(**filled)
            except Exception as error:  # foreign constructors refuse their arguments in many ways
                raise UsageError(f"BasicSR's {name} refuses its options: {type(error).__name__}: {error}") from None
            super().__init__(module, scale, color, taps, receptive_radius, _multiple(name, filled))
            self.arguments = {**self.arguments, **options}

    BasicSRNetwork.__name__ = BasicSRNetwork.__qualname__ = name
    own = inspect.signature(BasicSRNetwork.__init__).parameters
    named = [value for key, value in own.items() if key != "self" and value.kind is not value.VAR_KEYWORD]
    theirs = [
        value.replace(kind=value.KEYWORD_ONLY, default=None if key in CHANNEL_NAMES else value.default)
        for key, value in signature.parameters.items()
        if key not in own and value.kind is not value.VAR_KEYWORD and "path" not in key  # files are ours to open
    ]
    BasicSRNetwork.__signature__ = inspect.Signature([*named, *theirs])  # type: ignore[attr-defined]
    return BasicSRNetwork


def _fill(
    name: str, signature: inspect.Signature, options: Mapping[str, Any], scale: int, channels: int
) -> dict[str, Any]:
    """The architecture's arguments, scale and channels filled in; what is given already has to agree."""
    wanted = dict.fromkeys(SCALE_NAMES, scale) | dict.fromkeys(CHANNEL_NAMES, channels)
    filled = dict(options)
    for key, value in wanted.items():
        if key in signature.parameters and filled.setdefault(key, value) != value:
            raise UsageError(f"network basicsr.{name}: {key} is {filled[key]}, but scale and color ask for {value}")
    return filled


def _multiple(name: str, options: Mapping[str, Any]) -> int:
    """What the sides of an image have to be multiples of: windows of attention, pixel unshuffles."""
    if name == "RRDBNet":
        return {1: 4, 2: 2}.get(options["scale"], 1)
    return int(options.get("window_size", 7 if name == "SwinIR" else 1))
