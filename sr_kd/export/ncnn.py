"""Networks for ncnn: a text file ``.param`` and beside it the weights, ``.bin``, made from ONNX by pnnx.

pnnx knows neither symmetric borders nor slices of channels, so bicubic upscaling and color are written without.
"""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import SrKdError, UsageError
from ..files import temporary_folder
from ..imaging.color import TensorFunction
from ..imaging.graph import check_onnx_packages, trace, write_onnx
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale_kernels
from .layers import of_layers


def check_ncnn() -> None:
    """Raise a UsageError where a package is missing that writes or checks such files."""
    check_onnx_packages()
    missing = [name for name in ("pnnx", "ncnn") if find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting to ncnn needs {', '.join(missing)}; run: pip install 'sr_kd[ncnn]'")


def write_ncnn(network: SRNetwork, rgb: bool, parameters: Path, weights: Path) -> TensorFunction:
    """A deployed network as ncnn reads it: input ``in0``, output ``out0``, (C, H, W) each. Returns what ncnn computes.

    Args:
        rgb: a "y" network takes and gives RGB.

    Raises:
        SrKdError: pnnx cannot convert the graph.
    """
    import pnnx

    graph = of_layers(network, rgb=rgb, upscale=upscale_of_layers)
    program = trace(graph, 3 if rgb else network.channels)
    with temporary_folder() as folder:
        write_onnx(program, folder / "net.onnx", {})
        finished = subprocess.run(
            [pnnx.EXEC_PATH, "net.onnx", "fp16=0"], cwd=folder, capture_output=True, text=True, check=False
        )
        made = [folder / f"net.ncnn.{suffix}" for suffix in ("param", "bin")]
        if finished.returncode or not all(file.is_file() for file in made):
            raise SrKdError(f"pnnx cannot convert {network.type_name} to ncnn; .onnx files suit most other runtimes")
        for file, target in zip(made, (parameters, weights), strict=True):
            target.write_bytes(file.read_bytes())
    return _opened(parameters, weights)


def upscale_of_layers(x: Tensor, scale: int) -> Tensor:
    """As `sr_kd.networks.bicubic.upscale`, of layers that ncnn has; two pixels high and wide at least.

    Every pixel is repeated three times, so that reflection about the outermost copy brings that pixel again first:
    symmetric borders. A convolution of stride and dilation 3 then sees every pixel once.

    >>> upscale_of_layers(torch.ones(1, 1, 2, 2), 2).shape
    torch.Size([1, 1, 4, 4])
    """
    channels = x.shape[1]
    repeated = functional.interpolate(x, scale_factor=3.0, mode="nearest")
    padded = functional.pad(repeated, (5, 5, 5, 5), mode="reflect")
    kernels = upscale_kernels(scale).to(x).repeat(channels, 1, 1, 1)
    return functional.pixel_shuffle(functional.conv2d(padded, kernels, stride=3, dilation=3, groups=channels), scale)


def _opened(parameters: Path, weights: Path) -> TensorFunction:
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = 1
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    if network.load_param(str(parameters)) or network.load_model(str(weights)):
        raise SrKdError("ncnn cannot read what pnnx wrote; try other versions of the two")

    def run(x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, H * scale, W * scale)."""
        results = []
        for image in x.numpy():
            extractor = network.create_extractor()
            extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
            status, result = extractor.extract("out0")
            if status:
                raise SrKdError("ncnn cannot run what pnnx wrote; try other versions of the two")
            results.append(torch.from_numpy(np.array(result)))
        return torch.stack(results)

    return run
