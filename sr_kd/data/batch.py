"""From 8-bit patches to what a network sees: its color, float, each patch in its orientation."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..networks.base import Color
from .color import gray_to_y, rgb_to_y
from .sampler import Draw


def network_batch(patches: Tensor, draw: Draw, color: Color, device: torch.device) -> Tensor:
    """Convert and orient a batch.

    Args:
        patches: (N, S, S, C) uint8, C = 1 (gray) or 3 (RGB), on the CPU or on a CUDA `device`.
        draw: the orientation of each patch.
        color: "y" or "rgb". Y is computed from the 8-bit RGB and not rounded; gray is mapped to the Y
            that R = G = B gives.
        device: where the result goes.

    Returns:
        (N, 1 or 3, S, S) float32 in [0, 1].
    """
    # Not on MPS, where older versions of torch cannot copy by index.
    image = _turn_all(patches.to(device), draw) if device.type == "cuda" else _turn_each(patches, draw).to(device)
    if color == "y":
        image = rgb_to_y(image) if image.shape[1] == 3 else gray_to_y(image)
    elif image.shape[1] == 1:
        image = image.expand(-1, 3, -1, -1).contiguous()
    return image


def _turn_each(patches: Tensor, draw: Draw) -> Tensor:
    """On the CPU each patch is turned and taken apart as bytes, which is several times faster than `orient`."""
    count, side, _, channels = patches.shape
    planes = np.empty((count, channels, side, side), np.uint8)
    turns = zip(draw.hflip.tolist(), draw.vflip.tolist(), draw.transpose.tolist(), strict=True)
    for pixels, image, (hflip, vflip, transpose) in zip(patches.numpy(), planes, turns, strict=True):
        turned = pixels
        if hflip or vflip:
            turned = cv2.flip(turned, -1 if hflip and vflip else int(hflip))
        if transpose:
            turned = cv2.transpose(turned)
        cv2.split(turned, list(image))  # each channel into its plane
    return torch.from_numpy(planes).float().div_(255)


def _turn_all(patches: Tensor, draw: Draw) -> Tensor:
    """The same without a loop, for devices that wait for every call."""
    return orient(patches.permute(0, 3, 1, 2).contiguous().float().div_(255), draw)


def orient(image: Tensor, draw: Draw) -> Tensor:
    """Flip, then transpose the patches that the draw says, in place: (N, C, S, S)."""
    for chosen, turn in (
        (draw.hflip, lambda chosen: chosen.flip(-1)),
        (draw.vflip, lambda chosen: chosen.flip(-2)),
        (draw.transpose, lambda chosen: chosen.transpose(-1, -2)),
    ):
        rows = torch.from_numpy(np.flatnonzero(chosen)).to(image.device, non_blocking=True)
        image.index_copy_(0, rows, turn(image.index_select(0, rows)))
    return image
