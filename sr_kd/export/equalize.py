"""Channels of equal range between two convolutions, so that one scale in 8 bits suits them all.

Cross-layer equalization (Nagel et al., ICCV 2019, section 4.1) by the ranges of the values in place of the first
layer's weights, as in SmoothQuant (Xiao et al., ICML 2023, equation 4): channel c is divided by
``sqrt(range / weight)`` where it is made and multiplied by it where it is read. What lies between passes positive
factors through, so the network computes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

HOMOGENEOUS = ("Relu", "LeakyRelu", "PRelu")


def equalize(model: ModelProto, inputs: Iterable[Tensor]) -> None:
    """Scale the channels between the convolutions of an ONNX model, in place.

    Args:
        inputs: what the model's input ``lr`` is like, float32; they tell the ranges.
    """
    from onnx.numpy_helper import from_array, to_array

    pairs = list(_pairs(model))
    if not pairs:
        return
    ranges = _channel_ranges(model, [between for _, between, _ in pairs], inputs)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for maker, between, reader in pairs:
        read = to_array(held[reader.input[1]])  # (out, in, h, w)
        weights = np.abs(read).max(axis=(0, 2, 3))
        alive = (ranges[between] > 0) & (weights > 0)
        scales = np.sqrt(ranges[between] / weights, where=alive, out=np.ones_like(weights))
        for name in maker.input[1:]:  # weight (out, in, h, w), and bias (out,)
            made = to_array(held[name])
            held[name].CopyFrom(from_array(made / scales.reshape(-1, *[1] * (made.ndim - 1)), name))
        held[reader.input[1]].CopyFrom(from_array(read * scales[:, None, None], reader.input[1]))


def _pairs(model: ModelProto) -> Iterator[tuple[NodeProto, str, NodeProto]]:
    """Convolutions one of which alone reads the other's result, with the name of the tensor that is read."""
    uses: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            uses.setdefault(name, []).append(node)
    held = {tensor.name for tensor in model.graph.initializer if len(uses.get(tensor.name, ())) == 1}
    for maker in model.graph.node:
        if maker.op_type != "Conv" or not held.issuperset(maker.input[1:]):
            continue
        between, readers = maker.output[0], uses.get(maker.output[0], [])
        while len(readers) == 1 and readers[0].op_type in HOMOGENEOUS and readers[0].input[0] == between:
            between = readers[0].output[0]
            readers = uses.get(between, [])
        if len(readers) == 1 and readers[0].op_type == "Conv" and readers[0].input[1] in held:
            whole = all(attribute.i == 1 for attribute in readers[0].attribute if attribute.name == "group")
            if whole and between not in {output.name for output in model.graph.output}:
                yield maker, between, readers[0]


def _channel_ranges(model: ModelProto, names: list[str], inputs: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """The largest magnitude in every channel of some tensors."""
    import onnx
    from onnxruntime import InferenceSession

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = {name: np.zeros(1, np.float32) for name in names}
    for x in inputs:
        for name, found in zip(names, session.run(names, {"lr": x.numpy()}), strict=True):
            largest[name] = np.maximum(largest[name], np.abs(found).max(axis=(0, 2, 3)))
    return largest
