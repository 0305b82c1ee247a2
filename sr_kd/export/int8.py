"""Networks in int8 for ONNX Runtime: calibrated on images, measured, refused where they lose too much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..data.color import rgb_to_y
from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError, nearest
from ..evaluation.benchmark import read_levels, score_network
from ..evaluation.protocols import find_protocol
from ..files import atomic_path, temporary_folder
from ..imaging.color import TensorFunction
from ..imaging.graph import OPSETS, assemble, onnx_metadata, quietly
from ..imaging.runtimes import open_onnx
from ..imaging.upscaler import Upscaler
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale_kernels
from ..networks.foreign import ForeignNetwork
from .equalize import equalize
from .export import export_network

if TYPE_CHECKING:
    from onnx import ModelProto

PROTOCOL = "rgb8"
CALIBRATION_IMAGES = 32
CALIBRATION_SIDE = 96  # LR pixels
LIMIT = 0.3  # dB


@dataclass(frozen=True)
class Quantized:
    """An int8 file and what it costs.

    Attributes:
        path: the file.
        psnr: of the network in float32, mean over the calibration images in dB (protocol "rgb8").
        quantized_psnr: of the file.
    """

    path: Path
    psnr: float
    quantized_psnr: float

    @property
    def loss(self) -> float:
        """PSNR lost, in dB."""
        return self.psnr - self.quantized_psnr


def export_int8(
    network: SRNetwork,
    path: Path | str,
    images: ImageSet,
    *,
    rgb: bool = False,
    opset: int = OPSETS[0],
    limit: float = LIMIT,
    float_layers: Sequence[str] = (),
    quiet: bool = True,
) -> Quantized:
    """Write an ONNX file whose convolutions work in int8 (weights per channel, activations per tensor).

    The ranges of the activations are those on the centers of up to 32 LR images, after channels were brought to
    equal ranges. Input and output stay float32, as in :func:`sr_kd.export.export.export_network`. The file appears
    only if it loses at most `limit` on the images.

    Args:
        network: single-scale.
        path: ends in ``.onnx``.
        images: photographs such as the file will meet, opened at the network's scale.
        rgb: a "y" network takes and gives RGB, its color handling (in float32) inside.
        limit: dB of PSNR.
        float_layers: names of convolutions that stay in float32 (`layer_losses` knows all).

    Raises:
        UsageError: another suffix, an unknown layer, and as `export_network`. SrKdError: the loss is above the limit.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"int8 is for ONNX Runtime: {path} must end in .onnx")
    with temporary_folder() as folder, atomic_path(path) as temporary:
        exported = export_network(network, folder / "fp32.onnx", rgb=rgb, opset=opset)
        rounding = _Rounding(exported.path, images, exported.description["color"])
        rounding.write(temporary, rounding.without(float_layers))
        _finish(temporary, {**exported.description, "precision": "int8"})
        measured = _measured(network, rgb)
        before, after = (
            _psnr(measured, images, forward, quiet) for forward in (None, open_onnx(temporary, exact=True))
        )
        result = Quantized(path, before, after)
        if not result.loss <= limit:
            raise SrKdError(
                f"{path} was not written: int8 loses {result.loss:.2f} dB on {images.name} "
                f"({result.psnr:.2f} to {result.quantized_psnr:.2f} dB), more than {limit:g}; "
                "use precision fp32, raise the limit (--max-loss), see which layer loses it (--sensitivity), or train "
                "a network that loses less (FSRCNN and CARN with skip: bicubic)"
            )
    return result


def layer_losses(network: SRNetwork, images: ImageSet, *, rgb: bool = False, quiet: bool = True) -> dict[str, float]:
    """PSNR in dB that each convolution loses on the images when it alone works in int8, by the layer's name.

    Args, Raises: as `export_int8`.
    """
    with temporary_folder() as folder:
        exported = export_network(network, folder / "fp32.onnx", rgb=rgb)
        rounding = _Rounding(exported.path, images, exported.description["color"])
        measured, losses, target = _measured(network, rgb), {}, folder / "int8.onnx"
        before = _psnr(measured, images, None, quiet)
        for layer, nodes in rounding.layers.items():
            rounding.write(target, nodes)
            _finish(target, exported.description)
            losses[layer] = before - _psnr(measured, images, open_onnx(target, exact=True), quiet)
    return losses


class _Rounding:
    """A float graph, its channels equalized, whose convolutions can be made int8.

    Attributes:
        layers: name of the layer -> its nodes, for it may be used more than once; without those that upscale
            bicubically (a skip, chroma), which are a hundredth of the work, and 8 bits would show.
    """

    def __init__(self, source: Path, images: ImageSet, color: str) -> None:
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        self.images, self.color, self.prepared = images, color, source.with_name("prepared.onnx")
        with quietly():
            quant_pre_process(str(source), str(self.prepared), skip_symbolic_shape=True)
        model = onnx.load(self.prepared)
        equalize(model, _inputs(images, color))
        onnx.save(model, self.prepared)
        kernels, array = upscale_kernels(images.scale).float().numpy(), onnx.numpy_helper.to_array
        bicubic = [tensor.name for tensor in model.graph.initializer if np.array_equal(array(tensor), kernels)]
        self.layers: dict[str, list[str]] = {}
        for node in model.graph.node:
            if node.op_type == "Conv" and node.input[1] not in bicubic:
                self.layers.setdefault(node.input[1].removesuffix(".weight"), []).append(node.name)

    def without(self, names: Sequence[str]) -> list[str]:
        """The nodes of the other layers. Raises UsageError for an unknown name."""
        for name in names:
            if name not in self.layers:
                raise UsageError(f"no layer '{name}'{nearest(name, self.layers)}; layers: {', '.join(self.layers)}")
        left = [node for name, nodes in self.layers.items() if name not in names for node in nodes]
        if not left:
            raise UsageError("every layer is to stay in float: nothing is left to be int8")
        return left

    def write(self, target: Path, nodes: Sequence[str]) -> None:
        """A file in which these nodes work in int8."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        with quietly():
            quantize_static(
                str(self.prepared),
                str(target),
                _Calibration(_inputs(self.images, self.color)),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_quantize=list(nodes),
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"]},  # one rounding a layer: the next one's
            )


def _measured(network: SRNetwork, rgb: bool) -> SRNetwork:
    """What the file is compared with: of an RGB graph, the same graph in float."""
    return ForeignNetwork(assemble(network.deploy(), rgb=True, precision="fp32"), network.scale) if rgb else network


def _psnr(network: SRNetwork, images: ImageSet, forward: TensorFunction | None, quiet: bool) -> float:
    upscaler = Upscaler(network, device="cpu", forward=forward)
    psnr = score_network(upscaler, images, protocol=PROTOCOL, metrics=("psnr",), quiet=quiet).psnr
    if psnr is None:
        raise SrKdError(f"{images.name} has no image whose PSNR is a number")
    return psnr


def _round_for_convolutions_only(model: ModelProto) -> None:
    """What else reads a rounded tensor, a skip above all, reads it as it was."""
    whole = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    rounded = {
        node.output[0]: whole[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in whole
    }
    for node in model.graph.node:
        if node.op_type != "Conv":
            node.input[:] = [rounded.get(name, name) for name in node.input]


class _Calibration:
    """What onnxruntime calls a CalibrationDataReader."""

    def __init__(self, inputs: Iterator[Tensor]) -> None:
        self.inputs = inputs

    def get_next(self) -> dict[str, Any] | None:
        """The next feed, or None after the last."""
        x = next(self.inputs, None)
        return None if x is None else {"lr": x.numpy()}


def _inputs(images: ImageSet, color: str) -> Iterator[Tensor]:
    """Centers of LR images as the network sees them, (1, C, h, w) in [0, 1]."""
    step = -(-len(images) // CALIBRATION_IMAGES)
    for index in range(0, len(images), step):
        _, lr = find_protocol(PROTOCOL).prepare(*read_levels(images, index), images.scale)
        height, width = (min(side, CALIBRATION_SIDE) for side in lr.shape[-2:])
        top, left = (lr.shape[-2] - height) // 2, (lr.shape[-1] - width) // 2
        x = lr[:, top : top + height, left : left + width].float() / 255
        if color == "rgb":
            x = x.expand(3, -1, -1)
        elif x.shape[0] == 3:
            x = rgb_to_y(x)
        yield x[None].contiguous()


def _finish(path: Path, description: Mapping[str, Any]) -> None:
    """Leave skips unrounded, and write the metadata, which quantization drops or leaves as it was."""
    import onnx

    model = onnx.load(path)
    _round_for_convolutions_only(model)
    onnx.helper.set_model_props(model, onnx_metadata(description))
    onnx.save(model, path)
