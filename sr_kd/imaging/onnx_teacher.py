"""An ONNX file of any program as a network that can teach: scale, color and value range are found by trying it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from threading import Timer
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SrKdError, UsageError
from ..networks.foreign import PROBE, ForeignNetwork
from .graph import check_onnx_packages
from .runtimes import open_session

OVERLAP = 64  # LR pixels: how far its pixels look at most; what they do is measured
SECONDS, SECONDS_PER_VALUE = 60.0, 1e-3  # for an image, at most: a file can hold an endless loop
MOST_NODES = 65_536  # ONNX Runtime opens them within a minute
MOST_CALLS = 64  # of functions within functions
FAR = 0.1  # mean distance of a result, scaled down, from the image, in 0..1: above it, it is another image


class OnnxModule(nn.Module):
    """(N, C, H, W) in [0, 1] -> (N, C, H * scale, W * scale), by ONNX Runtime on the CPU.

    Args:
        session: an ``onnxruntime.InferenceSession``; copies of the module share it.
        peak: the value of white in the file, 1 or 255.
    """

    def __init__(self, session: Any, peak: float = 1.0) -> None:
        super().__init__()
        self.session, self.peak = session, peak
        self._input = session.get_inputs()[0]

    def forward(self, x: Tensor) -> Tensor:
        """As the file computes it, in the precision of `x`. Raises an SrKdError where it cannot."""
        kind = torch.float16 if "float16" in self._input.type else torch.float32
        given = {self._input.name: (x * self.peak).to("cpu", kind).contiguous().numpy()}
        try:
            with _limited(SECONDS + x.numel() * SECONDS_PER_VALUE) as options:
                result = self.session.run(None, given, options)[0]
            return torch.from_numpy(result).to(x) / self.peak
        except Exception as error:  # its exceptions have no common base, and a result may be anything
            problem = " ".join(str(error).split())[:120]
            raise SrKdError(f"ONNX Runtime cannot compute an image {tuple(x.shape)}: {problem}") from None

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModule:
        return self


def load_onnx_teacher(path: Path) -> ForeignNetwork:
    """The network of an ONNX file: one image in, (N, 1 or 3, H, W) with free height and width, one image out.

    Raises:
        UsageError: ONNX Runtime is missing, or the file does not upscale images.
        SrKdError: an unreadable file.
    """
    check_onnx_packages()
    if path.exists() and not path.is_file():
        raise SrKdError(f"{path} cannot be read as an ONNX file: it is no file")  # a pipe would be waited for
    try:
        count = _nodes(path)
        session = open_session(path, fold=False) if count <= MOST_NODES else None
    except Exception as error:  # its exceptions have no common base
        problem = " ".join(str(error).split())[:120]
        raise SrKdError(f"{path} cannot be read as an ONNX file ({problem}), or there is no such file") from None
    if session is None:
        raise SrKdError(
            f"{path} has more than {MOST_NODES:,} nodes, with those of its functions: no network is that long"
        )
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UsageError(f"{path} takes {len(inputs)} inputs: a teacher takes one, an image")
    shape = inputs[0].shape
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise UsageError(f"{path} takes {shape}: a teacher takes images as (N, 1 or 3, height, width)")
    if isinstance(shape[2], int) or isinstance(shape[3], int):
        raise UsageError(f"{path} takes images of {shape[3]}x{shape[2]} pixels alone: export it with a free size")
    peak, scale = _range_and_scale(session, int(shape[1]), path)
    module = OnnxModule(session, peak)
    multiple = _multiple(module, int(shape[1]), scale)
    return ForeignNetwork(module, scale, "rgb" if shape[1] == 3 else "y", (), OVERLAP, multiple)


def _nodes(path: Path) -> float:
    """How many nodes the file has where every call of a function is replaced by its nodes, as ONNX Runtime does."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    bodies = {(function.domain, function.name): list(_walk(function.node)) for function in model.functions}
    lengths = {name: float(len(body)) for name, body in bodies.items()}

    def length(nodes: Iterable[Any]) -> float:
        return sum(lengths.get((node.domain, node.op_type), 1.0) for node in nodes)

    for _ in range(MOST_CALLS):
        before, lengths = lengths, {name: length(body) for name, body in bodies.items()}
        if before == lengths:
            return length(_walk(model.graph.node))
    return inf  # they call themselves, or nearly so


def _walk(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes and those of their subgraphs, which protobuf lets be 100 deep."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _walk(graph.node)


@contextmanager
def _limited(seconds: float) -> Iterator[Any]:
    """Options of a run of ONNX Runtime that ends in an error after so long."""
    from onnxruntime import RunOptions

    options = RunOptions()
    timer = Timer(seconds, lambda: setattr(options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()


def _range_and_scale(session: Any, channels: int, path: Path) -> tuple[float, int]:
    """The value of white with which a scaled-down disc comes out best; and how much larger."""
    scale, found = 1, []
    for peak in (1.0, 255.0):
        x = _disc(PROBE * 8, 8, channels)
        try:
            y = OnnxModule(session, peak)(x)
        except SrKdError as error:
            raise UsageError(f"{path}: {error}") from None
        scale = y.shape[-1] // PROBE if y.ndim == 4 else 0
        if scale < 2 or y.shape != (1, channels, scale * PROBE, scale * PROBE):
            raise UsageError(f"{path} makes {tuple(y.shape)} of {tuple(x.shape)}: it upscales no images")
        found.append((float((y - _disc(PROBE * scale, 1, channels)).abs().mean()), peak))
    distance, peak = min(found)
    if not distance <= FAR:
        raise UsageError(f"{path} makes another image of a test image, with values up to 1 as up to 255")
    return peak, scale


def _multiple(module: OnnxModule, channels: int, scale: int) -> int:
    """Of what number both sides of an image must be multiples (windows, unshuffles): found by trying."""
    for multiple in range(1, PROBE):
        if PROBE % multiple == 0:
            height, width = 5 * multiple, 7 * multiple  # of nothing else in common
            with suppress(SrKdError):
                if module(torch.zeros(1, channels, height, width)).shape[2:] == (scale * height, scale * width):
                    return multiple
    return PROBE


def _disc(side: int, shrink: int, channels: int) -> Tensor:
    """A bright disc on a gray ground, (1, C, side / shrink, side / shrink)."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    disc = torch.where(x * x + y * y < 0.4, 0.8, 0.3)
    return functional.avg_pool2d(disc.expand(1, channels, side, side), shrink)
