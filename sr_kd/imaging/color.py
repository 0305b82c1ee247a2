"""Color around a network: an image of one channel or three through a network of luma or RGB."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.color import gray_to_y, rgb_to_ycbcr, y_to_gray, ycbcr_to_rgb
from ..networks.base import Color

TensorFunction = Callable[[Tensor], Tensor]


def upscale_color(image: Tensor, color: Color, network: TensorFunction, interpolate: TensorFunction) -> Tensor:
    """Luma or RGB by the network, the chroma of a "y" network by interpolation.

    Args:
        image: (N, 1 or 3, H, W) in [0, 1].
        color: what the network sees and gives.
        network: (N, C, H, W) in that color -> (N, C, H * scale, W * scale).
        interpolate: the same for chroma.

    Returns:
        (N, as in `image`, H * scale, W * scale), not clamped. A gray image is R = G = B to an "rgb" network, whose
        channels are averaged.
    """
    gray = image.shape[1] == 1
    if color == "rgb":
        rgb = network(image.expand(-1, 3, -1, -1) if gray else image)
        return rgb.mean(dim=1, keepdim=True) if gray else rgb
    if gray:
        return y_to_gray(network(gray_to_y(image)))
    ycbcr = rgb_to_ycbcr(image)
    return ycbcr_to_rgb(torch.cat([network(ycbcr[:, :1]), interpolate(ycbcr[:, 1:])], dim=1))
