"""Key names of public checkpoints, mapped to this package's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

State = Mapping[str, Tensor]


def rename(tensors: State) -> tuple[str, dict[str, Tensor]]:
    """Name of the format, and the weights under this package's keys (as they are in no known format)."""
    if "backbone.network.feature_extraction.0.0.weight" in tensors:
        return "PISR release", _pisr(tensors)
    if "residual_layer.0.conv.weight" in tensors:
        return "pytorch-vdsr", _vdsr(tensors)
    if "b1.c1.body.0.weight" in tensors:
        return "CARN-pytorch", _carn(tensors)
    return "sr_kd keys", dict(tensors)


def _pisr(tensors: State) -> dict[str, Tensor]:
    """PISR's student or teacher; the VID heads beside the student (``vid_module_dict``) are left out."""
    prefix = "backbone.network."
    decoder = "decoder." if f"{prefix}encoder.0.0.weight" in tensors else ""
    renamed = {}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}encoder.0."):
            renamed[key.replace(f"{prefix}encoder.0.", "encoder.layers.")] = value
        elif key.startswith(prefix):
            key = re.sub(r"^(feature_extraction|shrinking|expanding)\.0\.", r"\1.", key.removeprefix(prefix))
            renamed[decoder + key.replace("last_layer.0.0.", "last_layer.")] = value
    return renamed


def _vdsr(tensors: State) -> dict[str, Tensor]:
    """github.com/twtygqyy/pytorch-vdsr."""
    middle = len(tensors) - 2
    places = {"input.weight": 0, "output.weight": middle + 1}
    places |= {f"residual_layer.{index}.conv.weight": index + 1 for index in range(middle)}
    return {f"layers.{places[key]}.weight" if key in places else key: value for key, value in tensors.items()}


def _carn(tensors: State) -> dict[str, Tensor]:
    """github.com/nmhkahn/CARN-pytorch, CARN and CARN-M; the constant mean shift is left out."""

    def unit(match: re.Match[str]) -> str:
        kind = "units" if match[1] == "b" else "fusions"
        return f"{kind}.{int(match[2]) - 1}."

    renamed = {}
    for key, value in tensors.items():
        if key.startswith(("entry.", "exit.")):
            renamed[key] = value
        elif key.startswith("upsample.up"):
            head, _, rest = key.removeprefix("upsample.up").partition(".body.")
            renamed[f"heads.x{head or _scale_of_single_head(tensors)}.{rest}"] = value
        elif not key.startswith(("sub_mean.", "add_mean.")):
            key = re.sub(r"([bc])(\d)\.", unit, key)
            renamed["body." + re.sub(r"(fusions\.\d\.)body\.", r"\1", key)] = value
    return renamed


def _scale_of_single_head(tensors: State) -> int:
    rows, channels = tensors["upsample.up.body.0.weight"].shape[0], tensors["exit.weight"].shape[1]
    return 4 if "upsample.up.body.3.weight" in tensors else round((rows / channels) ** 0.5)
