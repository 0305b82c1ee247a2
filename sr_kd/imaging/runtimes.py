"""Other programs that can run a network on a CPU: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from ..errors import SrKdError, UsageError, unknown_name
from ..files import temporary_folder
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale
from .color import TensorFunction
from .graph import check_onnx_packages, trace, write_onnx
from .probe import TOLERANCE, largest_difference

Runtime = Literal["torch", "onnxruntime", "openvino"]
PRECISIONS = {"onnxruntime": ("fp32",), "openvino": ("fp32", "bf16")}
_EXTRAS = {"onnxruntime": "export", "openvino": "openvino"}


def check_runtime(runtime: str, device: torch.device, precision: str) -> None:
    """Refuse a runtime that is unknown, not installed, or cannot serve this device or precision, with a UsageError."""
    if runtime == "torch":
        return
    if runtime not in PRECISIONS:
        raise unknown_name("runtime", runtime, ["torch", *PRECISIONS])
    if find_spec(runtime) is None:
        raise UsageError(f"runtime {runtime} is not installed; run: pip install 'sr_kd[export,{_EXTRAS[runtime]}]'")
    check_onnx_packages()
    if device.type != "cpu":
        raise UsageError(f"runtime {runtime} computes on the CPU, not on {device}: add --device cpu")
    if precision not in PRECISIONS[runtime]:
        raise UsageError(f"runtime {runtime} has no precision {precision}; it has {', '.join(PRECISIONS[runtime])}")


def run_elsewhere(network: SRNetwork, runtime: str, precision: str = "fp32") -> TensorFunction:
    """The network's forward pass in another runtime, with as many threads as torch has.

    Args:
        network: single-scale.
        runtime: "onnxruntime" or "openvino".
        precision: "fp32"; OpenVINO has "bf16" too, which falls back to fp32 on CPUs without it.

    Returns:
        (N, C, H, W) float32 -> (N, C, H * scale, W * scale), within one gray level of the network in fp32.

    Raises:
        SrKdError: the network cannot be converted, or the results of fp32 differ.
    """
    channels = network.channels
    with temporary_folder() as folder:
        path = folder / "network.onnx"
        deployed = network.deploy()
        deployed.bicubic = upscale  # shifted sums: OpenVINO's bf16 rounds what convolutions see, luma too
        write_onnx(trace(deployed, channels), path, {})
        run = open_exported(path, runtime, precision)
        difference = largest_difference(run, deployed, channels)
    if precision == "fp32" and not difference <= TOLERANCE:
        raise SrKdError(f"{runtime}: results differ from PyTorch's by {difference:.3g} gray levels: use runtime torch")
    return run


def open_exported(path: Path, runtime: str, precision: str = "fp32") -> TensorFunction:
    """As `run_elsewhere`, from a network's ONNX file, which is read once and not needed afterwards."""
    return open_onnx(path) if runtime == "onnxruntime" else _openvino(path, precision)


def open_session(path: Path, exact: bool = False, fold: bool = True) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU, with as many threads as torch has.

    Args:
        exact: compute node by node, rounded values in float: what int8 means, where an x86 CPU without VNNI lets the
            sums of its int8 kernels saturate at 16 bits.
        fold: compute constants once, while the file is opened; nothing limits the time that a stranger's take.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what fails raises, too
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    disabled = [] if fold else ["ConstantFolding"]
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(path, options, providers=providers, disabled_optimizers=disabled)


def open_onnx(path: Path, exact: bool = False) -> TensorFunction:
    """An ONNX file of a network as a function of tensors, (N, C, H, W) float32 on the CPU; `exact` as above."""
    session = open_session(path, exact)
    return lambda x: torch.from_numpy(session.run(["sr"], {"lr": x.cpu().contiguous().numpy()})[0])


def _openvino(path: Path, precision: str) -> TensorFunction:
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(path, "CPU", settings)
    return lambda x: torch.from_numpy(model(x.contiguous().numpy())["sr"].copy())
