"""Networks for LiteRT (TensorFlow Lite): ``.tflite`` files of a fixed size, made by litert-torch in a process apart.

    python -m sr_kd.export.tflite PROGRAM FILE

converts a program of ``torch.export`` with one input ``lr`` and one output ``sr``. litert-torch brings JAX and prints
what it does, hence the process.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SrKdError, UsageError
from ..files import temporary_folder
from ..imaging.color import TensorFunction
from ..imaging.graph import quietly
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale_kernels
from .layers import of_layers

INPUT_SIZE = (270, 480)  # (H, W): 1080p from x4, 960x540 from x2


def check_tflite() -> None:
    """Raise a UsageError where a package is missing that writes or checks such files."""
    if find_spec("litert_torch") is None or find_spec("ai_edge_litert") is None:
        raise UsageError(
            "exporting to TensorFlow Lite needs litert-torch; run: pip install 'sr_kd[tflite]' (in an environment of "
            "its own, where other packages want a newer typing_extensions than it does)"
        )


def write_tflite(network: SRNetwork, rgb: bool, size: tuple[int, int], path: Path) -> TensorFunction:
    """A deployed network as LiteRT reads it; input ``lr`` (1, H, W, C), output ``sr`` (1, H * scale, W * scale, C).

    Args:
        rgb: a "y" network takes and gives RGB.
        size: the height and width of its input, two pixels or more each.

    Returns:
        What LiteRT computes: (1, C, H, W) -> (1, C, H * scale, W * scale).

    Raises:
        SrKdError: litert-torch cannot convert the graph.
    """
    graph = _ChannelsLast(of_layers(network, rgb=rgb, upscale=upscale_of_slices))
    image = torch.zeros(1, *size, 3 if rgb else network.channels)
    with temporary_folder() as folder:
        program, made = folder / "net.pt2", folder / "net.tflite"
        with torch.no_grad(), quietly():
            torch.export.save(torch.export.export(graph.eval(), (), {"lr": image}).run_decompositions({}), program)
        command = [sys.executable, "-m", f"{__package__}.tflite", str(program), str(made)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode or not made.is_file():
            said = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SrKdError(f"litert-torch cannot convert {network.type_name} to TensorFlow Lite: {said}")
        path.write_bytes(made.read_bytes())
    return _opened(path)


def upscale_of_slices(x: Tensor, scale: int) -> Tensor:
    """As `sr_kd.networks.bicubic.upscale`, of slices and a convolution; two pixels high and wide at least.

    >>> upscale_of_slices(torch.ones(1, 1, 2, 2), 2).shape
    torch.Size([1, 1, 4, 4])
    """
    for axis in (2, 3):
        length = x.shape[axis]
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, length - 1, 1)
        x = torch.cat([x.narrow(axis, 1, 1), first, x, last, x.narrow(axis, length - 2, 1)], dim=axis)
    kernels = upscale_kernels(scale).to(x).repeat(x.shape[1], 1, 1, 1)
    return functional.pixel_shuffle(functional.conv2d(x, kernels, groups=x.shape[1]), scale)


class _ChannelsLast(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, lr: Tensor) -> dict[str, Tensor]:
        """(N, H, W, C) -> (N, H * scale, W * scale, C), by name."""
        return {"sr": self.inner(lr.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)}


def _opened(path: Path) -> TensorFunction:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # the delegates announce themselves
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    return lambda x: torch.from_numpy(run(lr=x.permute(0, 2, 3, 1).contiguous().numpy())["sr"]).permute(0, 3, 1, 2)


def _convert(program: str, file: str) -> None:
    import litert_torch

    exported = torch.export.load(program)
    arguments, named = exported.example_inputs
    litert_torch.convert(exported.module(), arguments, named).export(file)


if __name__ == "__main__":
    _convert(*sys.argv[1:])
