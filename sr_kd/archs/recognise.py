"""Which network foreign weights belong to: key names are mapped to ours, shapes tell the arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UsageError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Recognised:
    """Foreign weights in this package's terms.

    Attributes:
        format: where the key names come from.
        type_name, arguments: the network; ``arguments["scale"]`` is missing where shapes do not tell it.
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
        return {"scale": scale, **self.arguments}


def recognise(tensors: State) -> Recognised | None:
    """The network that these weights belong to, or None."""
    try:
        return _recognise(tensors)
    except (KeyError, IndexError):  # the first keys looked familiar, but a layer or a dimension is not there
        return None


def _recognise(tensors: State) -> Recognised | None:
    name, renamed = _from_pisr(tensors) or ("sr_kd keys", dict(tensors))
    if "decoder.feature_extraction.0.weight" in renamed:
        encoder = {key.removeprefix("encoder."): value for key, value in renamed.items() if key.startswith("encoder.")}
        decoder = {key.removeprefix("decoder."): value for key, value in renamed.items() if key.startswith("decoder.")}
        inner = _fsrcnn(decoder)
        arguments = {
            "colour": inner["colour"],
            "encoder": {"type": "Hourglass", **_hourglass(encoder)},
            "decoder": {"type": "FSRCNN", **inner},
        }
        return Recognised(name, "PrivilegedTeacher", arguments, renamed)
    if "feature_extraction.0.weight" in renamed:
        return Recognised(name, "FSRCNN", _fsrcnn(renamed), renamed)
    return None


def _from_pisr(tensors: State) -> tuple[str, dict[str, Tensor]] | None:
    """The released PISR checkpoints: ``backbone.network.*``; the VID heads are left out."""
    prefix = "backbone.network."
    inside = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if not inside:
        return None
    decoder = "decoder." if any(key.startswith("encoder.") for key in inside) else ""
    renamed = {}
    for key, value in inside.items():
        if key.startswith("encoder.0."):
            renamed[key.replace("encoder.0.", "encoder.layers.", 1)] = value
        else:
            key = re.sub(r"^(feature_extraction|shrinking|expanding)\.0\.", r"\1.", key)
            renamed[decoder + key.replace("last_layer.0.0.", "last_layer.", 1)] = value
    return "PISR release", renamed


def _fsrcnn(state: State) -> dict[str, Any]:
    first, last, shrink = (state[f"{name}.weight"] for name in ("feature_extraction.0", "last_layer", "shrinking.0"))
    colour = "y" if last.shape[1] == 1 else "rgb"
    images = 1 if colour == "y" else 3
    return {
        "colour": colour,
        "d": first.shape[0],
        "s": shrink.shape[0],
        "m": len({key.split(".")[1] for key in state if key.startswith("mapping.")}),
        "slope_per_channel": state["feature_extraction.1.weight"].numel() > 1,
        "input_channels": None if first.shape[1] == images else first.shape[1],
    }


def _hourglass(state: State) -> dict[str, Any]:
    channels = state["layers.0.weight"].shape[1]
    return {
        "colour": "y" if channels == 1 else "rgb",
        "d": state["layers.0.weight"].shape[0],
        "s": state["layers.4.weight"].shape[0],
        "k": state["layers.6.weight"].shape[0] // channels,
    }
