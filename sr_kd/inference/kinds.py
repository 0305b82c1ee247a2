"""Pictures in Python: NumPy arrays, PIL images and tensors, in and out as the same kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from ..data.image import Image
from ..errors import UsageError

Picture = np.ndarray | PIL.Image.Image | Tensor | Image
Restore = Callable[[Image], Any]
LARGEST_FLOAT = 2.0  # above 1 lie a filter's overshoots, far above it levels of 0..255


def unpack(picture: Any) -> tuple[Image, Restore]:
    """A picture as an `Image` (pixels may be floating point, too), and how to give it back as it came.

    Raises:
        UsageError: not a picture: a wrong type, shape or pixel type.
    """
    if isinstance(picture, Image):
        return picture, lambda image: image
    if isinstance(picture, PIL.Image.Image):
        return _from_pil(picture), lambda image: _to_pil(image, picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture), lambda image: _to_array(image, picture.ndim)
    if isinstance(picture, Tensor):
        return _from_tensor(picture), lambda image: _to_tensor(image, picture)
    raise UsageError(
        f"cannot upscale a {type(picture).__name__}: give a NumPy array, a PIL image or a tensor (files: read_image)"
    )


def _from_array(array: np.ndarray) -> Image:
    samples = array[..., None] if array.ndim == 2 else array
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3, 4) or samples.size == 0:
        raise UsageError(f"an array must be (H, W) or (H, W, 1 to 4); this one is {array.shape}")
    if array.dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        raise UsageError(f"pixels must be uint8, uint16 or floating point in [0, 1]; these are {array.dtype}")
    if samples.dtype.kind == "f" and np.nanmax(samples) > LARGEST_FLOAT:
        raise UsageError(
            f"floating-point pixels must lie in [0, 1]; these reach {np.nanmax(samples):g}: divide them by 255 "
            "(8 bits) or 65535 (16), or give them as uint8 or uint16"
        )
    if samples.shape[2] in (1, 3):
        return Image(samples)
    return Image(samples[..., :-1], samples[..., -1])


def _to_array(image: Image, axes: int) -> np.ndarray:
    if axes == 2:
        return image.pixels[..., 0]
    return image.pixels if image.alpha is None else np.concatenate([image.pixels, image.alpha[..., None]], axis=2)


def _from_pil(picture: PIL.Image.Image) -> Image:
    if picture.mode.startswith("I;16"):
        return _from_array(np.asarray(picture).astype(np.uint16))
    if picture.mode in ("I", "F"):
        raise UsageError(f"PIL images of mode {picture.mode} are not supported: convert to L, RGB or I;16")
    transparent = picture.has_transparency_data
    grey = picture.mode in ("1", "L", "LA", "La")
    mode = ("LA" if transparent else "L") if grey else ("RGBA" if transparent else "RGB")
    return _from_array(np.asarray(picture if picture.mode == mode else picture.convert(mode)))


def _to_pil(image: Image, like: PIL.Image.Image) -> PIL.Image.Image:
    samples = _to_array(image, 3)
    result = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    result.info = {key: value for key, value in like.info.items() if key != "transparency"}
    return result


def _from_tensor(tensor: Tensor) -> Image:
    if tensor.ndim not in (3, 4) or tensor.shape[-3] not in (1, 3) or (tensor.ndim == 4 and tensor.shape[0] != 1):
        raise UsageError(
            f"a tensor must be (C, H, W) or (1, C, H, W) with C = 1 or 3; this one is {tuple(tensor.shape)}"
        )
    plane = tensor.detach().reshape(tensor.shape[-3:]).permute(1, 2, 0)
    if plane.dtype == torch.bfloat16:
        plane = plane.float()
    return _from_array(plane.cpu().numpy())


def _to_tensor(image: Image, like: Tensor) -> Tensor:
    result = torch.from_numpy(image.pixels).permute(2, 0, 1).to(device=like.device, dtype=like.dtype).contiguous()
    return result if like.ndim == 3 else result[None]
