"""Which network weights belong to that do not say it: every network class recognizes its own, by keys and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UsageError
from .build import NETWORKS

Tensors = Mapping[str, Tensor]
OWN_KEYS = "sr_kd keys"


@dataclass(frozen=True)
class Recognized:
    """Weights in this package's terms.

    Attributes:
        type_name, arguments: the network; without a scale where shapes do not tell it.
        tensors: the weights under this package's keys.
        format: where the key names come from.
    """

    type_name: str
    arguments: dict[str, Any]
    tensors: dict[str, Tensor]
    format: str = OWN_KEYS

    def arguments_for(self, path: Path, scale: int | None) -> dict[str, Any]:
        """The arguments with the scale filled in. Raises UsageError if it is needed and not given."""
        if "scale" in self.arguments or "scales" in self.arguments:
            return self.arguments
        if scale is None:
            same = f"{self.type_name} has the same shapes at every scale"
            raise UsageError(f"{path}: {same}; say which scale it is (-s 2, or in Python scale=2)")
        return {**self.arguments, "scale": scale}


def recognize(tensors: Tensors) -> Recognized | None:
    """The network that these weights belong to, or None: what the first class to know them says.

    A registered class (a plug-in's, too) may have a ``detect(tensors)``, see `Network.detect`.
    """
    for name in NETWORKS.names():
        detect = getattr(NETWORKS.get(name), "detect", None)
        try:
            found = None if detect is None else detect(tensors)
        except (LookupError, ValueError, ArithmeticError, TypeError, RuntimeError):
            continue  # the first keys looked familiar, but a layer or a dimension is not there
        if found is not None:
            return found
    return None


def inside(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors whose keys begin with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def color_of(channels: int) -> str:
    """ "y" or "rgb"."""
    return "y" if channels == 1 else "rgb"


def input_channels_of(channels: int, output_channels: int) -> int | None:
    """The argument of that name: only where the input is no image."""
    return None if channels == output_channels else channels


def skip_of(tensors: Tensors) -> str:
    """The argument of that name: a network with a skip carries a mark among its weights."""
    return "bicubic" if "skip" in tensors else "none"
