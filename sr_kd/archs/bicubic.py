"""The bicubic kernel (a = -0.5) and how small networks can hold it in their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Shift = tuple[int, int]


def cubic(t: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, support [-2, 2]; the kernel of MATLAB's bicubic."""
    t = t.abs()
    inner = 1.5 * t**3 - 2.5 * t**2 + 1
    outer = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return torch.where(t <= 1, inner, torch.where(t < 2, outer, torch.zeros_like(t)))


def shifted_upscale_kernels(scale: int, size: int = 9, padding: int = 4) -> dict[Shift, Tensor]:
    """Bicubic enlargement as a sum of transposed convolutions over shifted copies of LR.

    A transposed convolution of `size` taps covers ``size / scale`` LR pixels, fewer than the four
    that bicubic needs at x3 and x4; what falls outside is held by kernels that act on LR shifted by
    one pixel.

    Returns:
        (dy, dx) -> (size, size) kernel acting on ``x[y + dy, x + dx]``, the heaviest first.
    """
    half: dict[int, Tensor] = {}
    reach = 2 * scale
    for offset in range(-reach - padding, reach + padding + 1):
        weight = cubic(torch.tensor((offset + 0.5) / scale - 0.5, dtype=torch.float64))
        for shift in (0, -1, 1):
            tap = offset + padding + scale * shift
            if weight != 0 and 0 <= tap < size:
                half.setdefault(shift, torch.zeros(size, dtype=torch.float64))[tap] = weight
                break
    kernels = {(dy, dx): torch.outer(half[dy], half[dx]) for dy in half for dx in half}
    return dict(sorted(kernels.items(), key=lambda item: -float(item[1].abs().sum())))


def downscale_segments(scale: int) -> list[tuple[int, Tensor]]:
    """The antialiased bicubic down-scaler, cut into single-signed pieces of one LR pixel's width.

    LR pixel i is ``sum over pieces of sum over r of piece[r] * hr[scale * (i + n) + r]``.

    Returns:
        (n, piece) pairs, n in -2..2, piece of `scale` taps that are all >= 0 or all <= 0.
    """
    centre = (scale - 1) / 2
    positions = torch.arange(-2 * scale, 3 * scale, dtype=torch.float64)
    weights = cubic((positions - centre) / scale)
    weights = weights / weights.sum()
    pieces = []
    for n in range(-2, 3):
        segment = weights[(n + 2) * scale : (n + 3) * scale]
        for piece in (segment.clamp(min=0), segment.clamp(max=0)):
            if bool(piece.abs().sum() > 0):
                pieces.append((n, piece))
    return pieces


def set_delta(weight: Tensor, bias: Tensor | None, out: int, source: int, shift: Shift = (0, 0)) -> None:
    """Make output channel `out` of a convolution a copy of channel `source`, read at a shift in pixels."""
    weight[out] = 0
    weight[out, source, weight.shape[2] // 2 + shift[0], weight.shape[3] // 2 + shift[1]] = 1
    if bias is not None:
        bias[out] = 0


def kaiming_(weight: Tensor, slope: float = 0.25) -> None:
    """He's normal initialisation for a convolution followed by a PReLU of this slope."""
    fan_in = weight[0].numel()
    weight.normal_(0.0, math.sqrt(2 / ((1 + slope**2) * fan_in)))
