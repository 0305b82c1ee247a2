"""FSRCNN as a user shader of mpv and libplacebo: every layer some passes of fragment shaders on the luma plane.

Format: https://libplacebo.org/custom-shaders and mpv's manual, ``--glsl-shaders``. A pass writes one texture of four
channels (in half precision), so a layer of 56 channels is 14 passes. Outside the image is zero, as in PyTorch;
the skip sees the image mirrored, as MATLAB's bicubic does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ..errors import UsageError
from ..networks.base import SRNetwork
from ..networks.bicubic import upscale_kernels
from ..networks.fsrcnn import FSRCNN
from ..networks.subpixel import TransposedConvolution

LANES = 4  # channels of a texture
MOST_CHANNELS = 15 * LANES  # players let a pass bind 16 textures, and the image is one
IMAGE = "HOOKED"


@dataclass(frozen=True)
class Layer:
    """A convolution: weights (out, in, h, w), biases and slopes (out,), and the first tap's place beside the pixel."""

    name: str
    weight: np.ndarray
    bias: np.ndarray
    slope: np.ndarray | None
    left: int
    top: int

    @property
    def textures(self) -> list[str]:
        """That hold its output."""
        return [f"{self.name}_{index}" for index in range(-(-len(self.weight) // LANES))]


def write_shader(network: SRNetwork) -> str:
    """The shader's text: luma in, luma of `scale` times the size out, where the video is shown larger than it is.

    Args:
        network: FSRCNN on luma as it was trained, not deployed.

    Raises:
        UsageError: another network, or one with layers of more than 60 channels.
    """
    if not isinstance(network, FSRCNN) or network.color != "y":
        raise UsageError(f"a shader can be written of FSRCNN on luma, not of {network.type_name} on {network.color}")
    layers = list(_layers(network))
    widest = max(layer.weight.shape[1] for layer in layers)
    if widest > MOST_CHANNELS:
        raise UsageError(f"a shader can have layers of up to {MOST_CHANNELS} channels; this network's have {widest}")
    skip = upscale_kernels(network.scale)[:, 0].numpy() if "skip" in network._buffers else None
    title = f"{network.type_name} x{network.scale}"
    sources, passes = [IMAGE], []
    for layer in layers:
        for index in range(len(layer.textures)):
            kernels = skip if layer is layers[-1] else None
            passes.append("\n".join(_pass(title, layer, index, sources, kernels)))
        sources = layer.textures
    return "\n\n".join([*passes, _shuffle(title, sources, network.scale)]) + "\n"


def _layers(network: FSRCNN) -> Iterator[Layer]:
    stages = [network.feature_extraction, network.shrinking, *network.mapping, network.expanding]
    names = ["features", "shrunken", *(f"mapped{index}" for index in range(len(network.mapping))), "expanded"]
    for name, (convolution, slopes) in zip(names, stages, strict=True):  # type: ignore[misc]
        weight = _numbers(convolution.weight)
        reach = weight.shape[2] // 2
        slope = np.broadcast_to(_numbers(slopes.weight), len(weight))
        yield Layer(name, weight, _numbers(convolution.bias), slope, reach, reach)
    last = network.last_layer
    if not isinstance(last, TransposedConvolution) or not isinstance(last.bias, nn.Parameter):
        raise UsageError("a shader is written of a network as it was trained, not of its deployed form")
    form = last.form(1)
    bias = np.repeat(_numbers(last.bias), network.scale**2)
    yield Layer("output", _numbers(form.weights(last.weight)), bias, None, form.padding[0], form.padding[2])


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _pass(title: str, layer: Layer, index: int, sources: Sequence[str], skip: np.ndarray | None) -> Iterator[str]:
    """Lines that compute one texture of a layer; `skip`: bicubic kernels (phases, h, w) of the image, added to it."""
    lanes = slice(index * LANES, (index + 1) * LANES)
    weight = _padded(layer.weight[lanes], axis=0)
    bound = dict.fromkeys([*sources, *([IMAGE] if skip is not None else [])])
    yield "//!HOOK LUMA"
    yield from (f"//!BIND {name}" for name in bound)
    yield f"//!SAVE {layer.textures[index]}"
    yield "//!COMPONENTS 4"
    yield f"//!WHEN OUTPUT.w {IMAGE}.w >"
    yield f"//!DESC {title}: {layer.textures[index]}"
    yield "#define inside(p) float(all(greaterThan(p, vec2(0.0))) && all(lessThan(p, vec2(1.0))))"
    yield "#define mirror(p) (1.0 - abs(1.0 - abs(p)))"
    yield "vec4 hook() {"
    yield f"vec4 r = {_vector(_padded(layer.bias[lanes], axis=0))};"
    for y, x in np.ndindex(*weight.shape[2:]):
        offset = f"vec2({x - layer.left}.0, {y - layer.top}.0)"
        for number, name in enumerate(sources):
            place = f"{name}_pos + {name}_pt * {offset}"
            block = weight[:, number * LANES : (number + 1) * LANES, y, x]
            if name == IMAGE:
                yield f"r += inside({place}) * {_vector(block[:, 0])} * {name}_tex({place}).x;"
            elif block.any():
                yield f"r += inside({place}) * ({_matrix(_padded(block, axis=1))} * {name}_tex({place}));"
    if layer.slope is not None:
        yield f"r = max(r, 0.0) + {_vector(_padded(layer.slope[lanes], axis=0))} * min(r, 0.0);"
    if skip is not None:
        for y, x in np.ndindex(*skip.shape[1:]):
            place = f"mirror({IMAGE}_pos + {IMAGE}_pt * vec2({x - skip.shape[2] // 2}.0, {y - skip.shape[1] // 2}.0))"
            yield f"r += {_vector(_padded(skip[lanes, y, x], axis=0))} * {IMAGE}_tex({place}).x;"
    yield "return r;\n}"


def _shuffle(title: str, sources: Sequence[str], scale: int) -> str:
    """The last pass: each pixel takes its phase."""
    choices = "".join(f"if (phase / {LANES} == {n}) r = {name}_tex(center);\n" for n, name in enumerate(sources))
    binds = "\n".join(f"//!BIND {name}" for name in (IMAGE, *sources))
    return f"""//!HOOK LUMA
{binds}
//!WIDTH {IMAGE}.w {scale} *
//!HEIGHT {IMAGE}.h {scale} *
//!WHEN OUTPUT.w {IMAGE}.w >
//!DESC {title}: pixel shuffle
vec4 hook() {{
vec2 place = {IMAGE}_pos * {IMAGE}_size;
vec2 center = (floor(place) + 0.5) * {IMAGE}_pt;
ivec2 part = ivec2(fract(place) * {scale}.0);
int phase = part.y * {scale} + part.x;
vec4 r = vec4(0.0);
{choices}return vec4(dot(r, vec4(equal(ivec4(0, 1, 2, 3), ivec4(phase % {LANES})))), 0.0, 0.0, 1.0);
}}"""


def _padded(values: np.ndarray, axis: int) -> np.ndarray:
    """With zeros up to four along an axis."""
    widths = [(0, LANES - size if number == axis else 0) for number, size in enumerate(values.shape)]
    return np.pad(values, widths)


def _vector(values: np.ndarray) -> str:
    return f"vec4({_listed(values)})"


def _matrix(block: np.ndarray) -> str:
    """(out, in), which GLSL writes column by column."""
    return f"mat4({_listed(block.T.flatten())})"


def _listed(values: np.ndarray) -> str:
    texts = (f"{value:.7g}" for value in values.tolist())
    return ", ".join(text if "." in text or "e" in text else f"{text}.0" for text in texts)
