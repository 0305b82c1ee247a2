"""Networks for ncnn: a text file ``.param`` and beside it the weights, ``.bin``, made from ONNX by pnnx."""

from __future__ import annotations

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..errors import SrKdError, UsageError
from ..imaging.color import TensorFunction
from ..imaging.graph import check_onnx_packages, write_onnx


def check_ncnn() -> None:
    """Raise a UsageError where a package is missing that writes or checks such files."""
    check_onnx_packages()
    missing = [name for name in ("pnnx", "ncnn") if find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting to ncnn needs {', '.join(missing)}; run: pip install 'sr_kd[ncnn]'")


def write_ncnn(program: ExportedProgram, parameters: Path, weights: Path) -> TensorFunction:
    """A traced graph as ncnn reads it: input ``in0``, output ``out0``, (C, H, W) each. Returns what ncnn makes of it.

    Raises:
        SrKdError: pnnx cannot convert the graph.
    """
    import pnnx

    with tempfile.TemporaryDirectory() as folder:
        write_onnx(program, Path(folder) / "net.onnx", {})
        finished = subprocess.run(
            [pnnx.EXEC_PATH, "net.onnx", "fp16=0"], cwd=folder, capture_output=True, text=True, check=False
        )
        made = [Path(folder) / f"net.ncnn.{suffix}" for suffix in ("param", "bin")]
        if finished.returncode or not all(file.is_file() for file in made):
            raise SrKdError(
                "pnnx cannot convert this network to ncnn; it does convert FSRCNN without a skip, on luma "
                "(without the option rgb); .onnx files suit most other runtimes"
            )
        for file, target in zip(made, (parameters, weights), strict=True):
            target.write_bytes(file.read_bytes())
    return _opened(parameters, weights)


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
