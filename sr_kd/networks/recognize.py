"""Which network weights belong to that do not say it: their shapes tell the constructor's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UsageError
from .foreign_keys import rename

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Recognized:
    """Foreign weights in this package's terms.

    Attributes:
        format: where the key names come from.
        type_name, arguments: the network; without a scale where shapes do not tell it.
        tensors: the weights under this package's keys.
    """

    format: str
    type_name: str
    arguments: dict[str, Any]
    tensors: dict[str, Tensor]

    def arguments_for(self, path: Path, scale: int | None) -> dict[str, Any]:
        """The arguments with the scale filled in. Raises UsageError if it is needed and not given."""
        if "scale" in self.arguments or "scales" in self.arguments:
            return self.arguments
        if scale is None:
            raise UsageError(f"{path}: {self.type_name} has the same shapes at every scale; say which scale it is")
        return {**self.arguments, "scale": scale}


def recognize(tensors: State) -> Recognized | None:
    """The network that these weights belong to, or None."""
    try:
        name, renamed = rename(tensors)
        found = _arguments(renamed)
    except (
        KeyError,
        IndexError,
        ValueError,
    ):  # the first keys looked familiar, but a layer or a dimension is not there
        return None
    return Recognized(name, *found, renamed) if found else None


def _arguments(state: State) -> tuple[str, dict[str, Any]] | None:
    """Type and arguments of a network in this package's keys."""
    if "encoder.layers.0.weight" in state:
        decoder = _arguments(_part(state, "decoder"))
        if decoder is None:
            return None
        kind, arguments = decoder
        arguments.pop("scales", None)
        encoder = {"type": "Hourglass", **_hourglass(_part(state, "encoder"))}
        return "PrivilegedTeacher", {
            "encoder": encoder,
            "decoder": {"type": kind, **arguments},
            "color": encoder["color"],
            **({"scale": arguments["scale"]} if "scale" in arguments else {}),
        }
    if "feature_extraction.1.weight" in state:
        return "FSRCNN", _fsrcnn(state)
    if "layers.0.weight" in state and "layers.0.bias" not in state:
        return "VDSR", _vdsr(state)
    if "blocks.0.compression.0.weight" in state:
        return "IDN", _idn(state)
    if "body.fusions.0.0.weight" in state:
        return "CARN", _carn(state)
    return None


def _part(state: State, name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def _color(channels: int) -> str:
    return "y" if channels == 1 else "rgb"


def _input_channels(channels: int, output_channels: int) -> int | None:
    return None if channels == output_channels else channels


def _skip(state: State) -> str:
    return "bicubic" if "skip" in state else "none"


def _hourglass(state: State) -> dict[str, Any]:
    wide, channels = state["layers.0.weight"].shape[:2]
    compact, narrow = state["layers.6.weight"].shape[:2]
    return {"color": _color(channels), "d": wide, "s": narrow, "k": compact // channels}


def _fsrcnn(state: State) -> dict[str, Any]:
    d, channels = state["feature_extraction.0.weight"].shape[:2]
    output = state["last_layer.weight"].shape[1]
    return {
        "color": _color(output),
        "d": d,
        "s": state["shrinking.0.weight"].shape[0],
        "m": len({key.split(".")[1] for key in state if key.startswith("mapping.")}),
        "slope_per_channel": state["feature_extraction.1.weight"].numel() > 1,
        "input_channels": _input_channels(channels, output),
        "skip": _skip(state),
    }


def _vdsr(state: State) -> dict[str, Any]:
    width, channels = state["layers.0.weight"].shape[:2]
    # The weights do not depend on the scale, and the public ones are trained for these three.
    return {"color": _color(channels), "layers": len(state), "width": width, "scales": [2, 3, 4]}


def _idn(state: State) -> dict[str, Any]:
    return {"color": _color(state["reconstruction.weight"].shape[1])}


def _carn(state: State) -> dict[str, Any]:
    output, channels = state["exit.weight"].shape[0], state["entry.weight"].shape[1]
    scales = sorted({int(key.split(".")[1].removeprefix("x")) for key in state if key.startswith("heads.")})
    mobile = "body.units.0.units.1.body.0.weight" not in state
    unit = state["body.units.0.units.0.body.0.weight"]
    return {
        "color": _color(output),
        "variant": "mobile" if mobile else "standard",
        **({"groups": unit.shape[0] // unit.shape[1]} if mobile else {}),
        "input_channels": _input_channels(channels, output),
        "skip": _skip(state),
        **({"scale": scales[0]} if len(scales) == 1 else {"scales": scales}),
    }
