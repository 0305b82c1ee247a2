"""Images in Python: NumPy arrays, PIL images and tensors, in and out as the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from ..errors import SrKdError, UsageError
from ..images import Image, Metadata
from ..images.color import fitting_profile
from ..images.pillow import count_frames, flatten

Restore = Callable[[Image], Any]
SMALLEST_FLOAT, LARGEST_FLOAT = -1.0, 2.0  # outside 0..1 lie a filter's overshoots, far outside levels of 0..255
PIXEL_TYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)
TENSOR_TYPES = (torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def unpack(image: Any) -> tuple[Image, Restore]:
    """An image as an `Image` (pixels may be floating point, too), and how to give it back as it came.

    Raises:
        UsageError: not an image: a wrong type, shape or pixel type. SrKdError: a PIL image of a damaged file.
    """
    if isinstance(image, Image):
        return image, lambda result: result
    if isinstance(image, PIL.Image.Image):
        return _from_pil(image), lambda result: _to_pil(result, image)
    if isinstance(image, np.ndarray):
        return _from_array(image), lambda result: _to_array(result, image.ndim)
    if isinstance(image, Tensor):
        return _from_tensor(image), lambda result: _to_tensor(result, image)
    raise UsageError(
        f"cannot upscale a {type(image).__name__}: give a NumPy array, a PIL image or a tensor (files: read_image)"
    )


def _from_array(array: np.ndarray) -> Image:
    if isinstance(array, np.matrix):  # which has no third axis
        raise UsageError("an np.matrix is no image: give np.asarray(image)")
    if np.ma.is_masked(array):
        raise UsageError("a masked array has pixels without a value: give image.filled(), or the mask as transparency")
    array = np.asarray(array)
    samples = array[..., None] if array.ndim == 2 else array
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3, 4) or samples.size == 0:
        raise UsageError(f"an array must be (H, W) or (H, W, 1 to 4); this one is {array.shape}")
    native = samples.dtype.newbyteorder("=")
    if native not in PIXEL_TYPES:
        raise UsageError(f"pixels must be uint8, uint16 or floating point in [0, 1]; these are {array.dtype}")
    samples = samples.astype(native, copy=False)
    if native.kind == "f":
        _check_range(samples)
    if samples.shape[2] in (1, 3):
        return Image(samples)
    return Image(samples[..., :-1], samples[..., -1])


def _check_range(samples: np.ndarray) -> None:
    low, high = float(samples.min()), float(samples.max())  # NaN where there is one
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = "NaN" if math.isnan(low) else "infinite"
        raise UsageError(f"floating-point pixels must lie in [0, 1]; some of these are {wrong}: np.nan_to_num helps")
    if low < SMALLEST_FLOAT or high > LARGEST_FLOAT:
        raise UsageError(
            f"floating-point pixels must lie in [0, 1]; these reach {high if high > LARGEST_FLOAT else low:g}: divide "
            "them by 255 (8 bits) or 65535 (16), or give them as uint8 or uint16"
        )


def _to_array(image: Image, axes: int) -> np.ndarray:
    if axes == 2:
        return image.pixels[..., 0]
    return image.pixels if image.alpha is None else np.concatenate([image.pixels, image.alpha[..., None]], axis=2)


def _from_pil(image: PIL.Image.Image) -> Image:
    if several := count_frames(image):
        raise UsageError(f"{several}; give one alone: image.copy(), after seek()")
    if image.mode in ("I", "F"):
        raise UsageError(f"PIL images of mode {image.mode} are not supported: convert to L, RGB or I;16")
    icc = image.info.get("icc_profile")
    deep = image.mode.startswith("I;16")
    if deep and "transparency" in image.info:
        raise UsageError(
            "a PIL image of 16-bit gray with a transparent level: PIL has no mode for the result. Give an array of "
            "gray and alpha (H, W, 2), or what sr_kd.images.read_image reads; or delete image.info['transparency']"
        )
    try:
        image.load()
        flat, icc = (image, icc) if deep else flatten(image, icc)
    except SrKdError:
        raise
    except Exception as error:  # Pillow decodes a file only now, and raises whatever the damage leads to
        raise SrKdError(f"the PIL image cannot be decoded: {str(error) or 'its file is closed'}") from None
    samples = np.asarray(flat).astype(np.uint16) if deep else np.asarray(flat)
    return replace(_from_array(samples), metadata=Metadata(icc))


def _to_pil(image: Image, like: PIL.Image.Image) -> PIL.Image.Image:
    samples = _to_array(image, 3)
    result = PIL.Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    result.info = {key: value for key, value in like.info.items() if key not in ("transparency", "icc_profile")}
    if icc := fitting_profile(image.metadata.icc, image.channels):
        result.info["icc_profile"] = icc
    return result


def _from_tensor(tensor: Tensor) -> Image:
    if tensor.is_meta or tensor.is_nested or tensor.layout != torch.strided:
        kind = "on the device meta" if tensor.is_meta else "nested" if tensor.is_nested else f"{tensor.layout}"
        raise UsageError(f"a tensor must be dense and hold values; this one is {kind}")
    if tensor.dtype not in TENSOR_TYPES:
        raise UsageError(f"pixels must be uint8, uint16 or floating point in [0, 1]; these are {tensor.dtype}")
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
