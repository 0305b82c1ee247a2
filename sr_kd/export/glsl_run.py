"""Runs the text of a shader that `write_shader` wrote, by NumPy: what such a file holds is what is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..errors import SrKdError

_TEXTURE = r"(?P<name>\w+)_tex\((?P<place>.*)\)"
_SUM = re.compile(
    rf"r \+= (?P<inside>inside\(.*?\) \* )?\(?(?P<kind>mat4|vec4)\((?P<numbers>[^)]*)\) \* {_TEXTURE}(\.x|\));"
)
_OFFSET = re.compile(r"vec2\((-?\d+)\.0, (-?\d+)\.0\)")
_START = re.compile(r"vec4 r = vec4\((.*)\);")
_SLOPES = re.compile(r"r = max\(r, 0\.0\) \+ vec4\((.*)\) \* min\(r, 0\.0\);")
_WIDTH = re.compile(r"//!WIDTH HOOKED\.w (\d+) \*")
_FRAME = ("//!", "#define", "vec4 hook() {", "return r;", "}")


def run_shader(text: str, luma: Tensor) -> Tensor:
    """Luma (N, 1, H, W) in [0, 1] through every pass -> (N, 1, H * scale, W * scale), float32.

    Raises:
        SrKdError: a statement that `write_shader` does not write.
    """
    return torch.stack([torch.from_numpy(_run(text, image[0].numpy()))[None] for image in luma])


def _run(text: str, luma: np.ndarray) -> np.ndarray:
    textures = {"HOOKED": luma[..., None].astype(np.float32)}
    for body in text.split("//!HOOK LUMA\n")[1:]:
        bound = {name: textures[name] for name in re.findall(r"^//!BIND (\w+)$", body, re.MULTILINE)}
        scale = _WIDTH.search(body)
        if scale is not None:
            return _shuffle([bound[name] for name in re.findall(r"r = (\w+)_tex\(center\)", body)], int(scale[1]))
        (saved,) = re.findall(r"^//!SAVE (\w+)$", body, re.MULTILINE)
        textures[saved] = _pass(body, bound, luma.shape)
    raise SrKdError("the shader has no last pass")


def _pass(body: str, bound: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    r = np.zeros((*shape, 4), np.float32)
    for line in body.strip().splitlines():
        if found := _SUM.fullmatch(line):
            (offset,) = set(_OFFSET.findall(line))
            x, y = (int(number) for number in offset)
            if ("inside" in line) == ("mirror" in line):
                raise SrKdError(f"a shader's line does not say what lies outside: {line[:200]}")
            seen = _shifted(bound[found["name"]], x, y, "constant" if found["inside"] else "symmetric")
            numbers = _numbers(found["numbers"])
            r += seen @ numbers.reshape(4, 4) if found["kind"] == "mat4" else seen * numbers
        elif found := _START.fullmatch(line):
            r[:] = _numbers(found[1])
        elif found := _SLOPES.fullmatch(line):
            r = np.maximum(r, 0) + _numbers(found[1]) * np.minimum(r, 0)
        elif not line.startswith(_FRAME):
            raise SrKdError(f"a line of the shader is not understood: {line[:200]}")
    return r


def _shifted(texture: np.ndarray, x: int, y: int, outside: str) -> np.ndarray:
    """The texture as seen x pixels to the right and y below."""
    reach = max(abs(x), abs(y))
    padded = np.pad(texture, ((reach, reach), (reach, reach), (0, 0)), mode=outside)  # type: ignore[call-overload]
    return padded[reach + y :, reach + x :][: texture.shape[0], : texture.shape[1]]


def _shuffle(textures: list[np.ndarray], scale: int) -> np.ndarray:
    phases = np.concatenate(textures, axis=-1)[..., : scale**2]
    height, width = phases.shape[:2]
    blocks = phases.reshape(height, width, scale, scale).transpose(0, 2, 1, 3)
    return blocks.reshape(height * scale, width * scale)


def _numbers(text: str) -> np.ndarray:
    return np.array(text.split(","), np.float32)
