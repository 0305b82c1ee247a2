"""Networks as files for other programs: ONNX, PyTorch's .pt2, Core ML, LiteRT, ncnn, shaders, and plain safetensors."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from .. import __version__
from ..errors import SrKdError, UsageError, nearest
from ..files import atomic_path
from ..imaging.color import TensorFunction
from ..imaging.graph import OPSETS, GraphPrecision, assemble, check_onnx_packages, quietly, trace, write_onnx
from ..imaging.probe import SHAPES, TOLERANCE, largest_difference
from ..imaging.runtimes import open_onnx
from ..networks.base import Color, SRNetwork
from ..networks.files import load_network, save_network
from ..networks.state_files import DESCRIPTION_KEY
from .coreml import check_coreml, write_coreml
from .glsl import write_shader
from .glsl_run import run_shader
from .ncnn import check_ncnn, write_ncnn
from .tflite import INPUT_SIZE, check_tflite, write_tflite

FORMATS = (".onnx", ".pt2", ".mlpackage", ".tflite", ".param", ".glsl", ".safetensors")


@dataclass(frozen=True)
class Exported:
    """A file that was written, read again, run and compared.

    Attributes:
        path: the file.
        difference: the largest difference from the network in float32, in gray levels of 255; None for Core ML, which
            is not run.
        description: what the file says about itself.
    """

    path: Path
    difference: float | None
    description: dict[str, Any]


def export_network(
    network: SRNetwork,
    path: Path | str,
    *,
    rgb: bool = False,
    precision: GraphPrecision = "fp32",
    opset: int = OPSETS[0],
    input_size: tuple[int, int] | None = None,
) -> Exported:
    """Write a network for other programs; batch, height and width stay free, but for LiteRT.

    The graph's input ``lr`` is (N, C, H, W), its output ``sr`` (N, C, H * scale, W * scale), both float32
    in [0, 1], the output not clamped. The file appears only after it has been read again, run (ONNX
    Runtime for .onnx) on photographs of several sizes, and found within one gray level of the network.

    Args:
        network: single-scale.
        path: ends in ``.onnx`` (needs the extra "export"), ``.pt2`` (for ``torch.export.load``), ``.mlpackage``
            (Core ML; the extra "coreml"; converted, not run), ``.tflite`` (LiteRT; the extra "tflite"; one image of a
            fixed size, its channels last), ``.param`` (ncnn, the weights beside it in ``.bin``; the
            extra "ncnn"), ``.glsl`` (a user shader for mpv and libplacebo, of FSRCNN on luma), or ``.safetensors``
            (for `load_model`: the weights as they are).
        rgb: a "y" network takes and gives RGB, its color handling inside.
        precision: of the arithmetic inside.
        opset: version of ONNX's operators.
        input_size: height and width of what a ``.tflite`` file takes (default: 270, 480).

    Raises:
        UsageError: an unknown format, options that do not fit it or the network, a missing extra.
        SrKdError: the file cannot be written, or its results differ.
    """
    path = Path(path)
    _check(network, path, rgb, precision, opset, input_size)
    shapes = SHAPES
    description = _describe(network, "rgb" if rgb else network.color, precision)
    channels = 3 if description["color"] == "rgb" else 1
    deployed = network.deploy()
    if path.suffix.lower() == ".mlpackage":
        write_coreml(trace(assemble(deployed, rgb=rgb, precision="fp32"), channels), path, description, precision)
        return Exported(path, None, description)
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        if path.suffix.lower() == ".safetensors":
            save_network(temporary, network)
            run: TensorFunction = load_network(temporary, scale=network.scale, any_type=True).network
        elif path.suffix.lower() == ".glsl":
            head = f"// Generated from trained weights. {DESCRIPTION_KEY}: {json.dumps(description)}\n\n"
            temporary.write_text(head + write_shader(network), encoding="utf-8")
            run = partial(run_shader, temporary.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".param":
            run = write_ncnn(deployed, rgb, temporary, stack.enter_context(atomic_path(path.with_suffix(".bin"))))
        elif path.suffix.lower() == ".tflite":
            size = input_size or INPUT_SIZE
            run, shapes = write_tflite(deployed, rgb, size, temporary), ((1, *size),)
        else:
            program = trace(assemble(deployed, rgb=rgb, precision=precision), channels)
            if path.suffix.lower() == ".onnx":
                write_onnx(program, temporary, description, opset)
                run = open_onnx(temporary)
            else:
                run = _write_pt2(program, temporary, description)
        difference = largest_difference(run, assemble(deployed, rgb=rgb, precision="fp32"), channels, shapes)
        if not difference <= TOLERANCE:
            raise SrKdError(
                f"{path} was not written: on photographs its results differ from the network's by {difference:.3g} "
                f"gray levels, more than {TOLERANCE:g}: {_way_out(precision)}"
            )
    return Exported(path, difference, description)


def _way_out(precision: GraphPrecision) -> str:
    if precision == "fp32":
        return f"torch {torch.__version__} or the runtime computes something else; try another version or format"
    return "this network's values are too large or too fine for it; use precision fp32"


def _check(
    network: SRNetwork, path: Path, rgb: bool, precision: str, opset: int, input_size: tuple[int, int] | None
) -> None:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"cannot export to {path}: unknown suffix '{suffix}'{nearest(suffix, FORMATS)}; known: {', '.join(FORMATS)}"
        )
    if rgb and network.color == "rgb":
        raise UsageError(f"{network.type_name} takes and gives RGB already: leave the option rgb out")
    if suffix == ".safetensors" and (rgb or precision != "fp32"):
        raise UsageError("a .safetensors file holds the weights as they are: no option rgb, no other precision")
    if suffix == ".glsl" and (rgb or precision != "fp32"):
        raise UsageError("a .glsl file works on luma, in the player's precision: no option rgb, no other precision")
    if suffix == ".param" and precision != "fp32":
        raise UsageError("a .param file has its weights in fp32, and ncnn chooses its precision: no other precision")
    if suffix == ".tflite" and precision != "fp32":
        raise UsageError("a .tflite file has its weights in fp32, and LiteRT chooses its precision: no other precision")
    if suffix != ".tflite" and input_size is not None:
        raise UsageError(f"the option input_size is for .tflite files; {path} takes images of any size: leave it out")
    if input_size is not None and min(input_size) < 2:
        raise UsageError(f"an input of {input_size[1]}x{input_size[0]} pixels is too small: 2x2 or more")
    if suffix != ".onnx" and opset != OPSETS[0]:
        raise UsageError(f"the option opset is for .onnx files; {path} is none: leave it out")
    if suffix == ".onnx" and opset not in OPSETS:
        raise UsageError(f"ONNX opset {opset} is not supported; allowed: {OPSETS[0]} to {OPSETS[-1]}")
    check_packages(suffix)
    if suffix == ".mlpackage" and path.exists():
        raise UsageError(f"{path} exists already, and a folder is not written over: remove it first")


def check_packages(suffix: str) -> None:
    """Raise a UsageError where a package is missing that writes or checks files of a format."""
    checks = {".onnx": check_onnx_packages, ".mlpackage": check_coreml, ".tflite": check_tflite, ".param": check_ncnn}
    if suffix in checks:
        checks[suffix]()


def _describe(network: SRNetwork, color: Color, precision: GraphPrecision) -> dict[str, Any]:
    return {
        "type": network.type_name,
        "arguments": network.arguments,
        "scale": network.scale,
        "color": color,
        "range": [0, 1],
        "precision": precision,
        "sr_kd": __version__,
    }


def _write_pt2(program: ExportedProgram, path: Path, description: dict[str, Any]) -> TensorFunction:
    """The file as torch.export reads it; its extra file ``sr_kd.json`` holds the description."""
    content = io.BytesIO()  # a file's temporary name would be written into it
    with quietly():
        torch.export.save(program, content, extra_files={f"{DESCRIPTION_KEY}.json": json.dumps(description)})
        path.write_bytes(content.getvalue())
        return torch.export.load(path).module()
