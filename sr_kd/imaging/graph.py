"""Networks as self-contained graphs for other runtimes: color, precision and free sizes inside; ONNX files of them."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..errors import SrKdError, UsageError
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale_by_convolution
from ..networks.state_files import DESCRIPTION_KEY
from .color import upscale_color

GraphPrecision = Literal["fp32", "fp16"]
OPSETS = range(18, 24)


class LumaInRGB(nn.Module):
    """A "y" network with its color handling: RGB in, RGB out."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, rgb: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, H * scale, W * scale), not clamped."""
        return upscale_color(rgb, "y", self.network, partial(upscale_by_convolution, scale=self.scale))


class HalfInside(nn.Module):
    """A copy of a network in half precision, between float32 input and output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float32 -> (N, C, H * scale, W * scale) float32."""
        return self.network(x).float()


def assemble(network: SRNetwork, *, rgb: bool, precision: GraphPrecision) -> nn.Module:
    """A deployed network with what goes around it, in eval mode; color stays in float32."""
    inner: nn.Module = HalfInside(network) if precision == "fp16" else network
    return (LumaInRGB(inner, network.scale) if rgb else inner).eval()


def free_sizes() -> dict[int, Dim]:
    """The axes of (N, C, H, W) that a graph leaves free. A `Dim` loads SymPy, so none is made on import."""
    return {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}


def trace(graph: nn.Module, channels: int) -> ExportedProgram:
    """The graph with batch, height and width free; `channels` is its input's."""
    with torch.no_grad(), quietly():
        return torch.export.export(graph, (torch.zeros(2, channels, 17, 23),), dynamic_shapes=(free_sizes(),))


def check_onnx_packages() -> None:
    """Raise a UsageError where a package is missing that writes or checks ONNX files."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting to ONNX needs {', '.join(missing)}; run: pip install 'sr_kd[export]'")


def write_onnx(program: ExportedProgram, path: Path, description: Mapping[str, Any], opset: int = OPSETS[0]) -> None:
    """A traced graph as an ONNX file. Its metadata: each entry of the description, and all of it as JSON.

    Raises:
        SrKdError: torch cannot convert the graph.
    """
    with quietly():
        converted = torch.onnx.export(
            program,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes=(free_sizes(),),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
        if converted is None:
            raise SrKdError(f"torch {torch.__version__} could not convert the network to ONNX")
        converted.model.metadata_props.update(onnx_metadata(description))
        converted.save(path, external_data=False)


def onnx_metadata(description: Mapping[str, Any]) -> dict[str, str]:
    """What an ONNX file says about itself: ONNX's metadata maps text to text."""
    entries = {key: value if isinstance(value, str) else json.dumps(value) for key, value in description.items()}
    return {**entries, DESCRIPTION_KEY: json.dumps(description)}


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' remarks on their own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
