"""The bicubic kernel (a = -0.5) and how small networks can hold it in their weights."""

from __future__ import annotations

import functools
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Shift = tuple[int, int]
Number = TypeVar("Number", float, Tensor)


def cubic(t: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, support [-2, 2]; the kernel of MATLAB's bicubic.

    >>> cubic(torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))
    tensor([ 1.0000,  0.5625,  0.0000, -0.0625,  0.0000])
    """
    t = t.abs()
    return torch.where(t <= 1, _near(t), torch.where(t < 2, _far(t), torch.zeros_like(t)))


def _near(t: Number) -> Number:
    return (1.5 * t - 2.5) * t * t + 1


def _far(t: Number) -> Number:
    return ((-0.5 * t + 2.5) * t - 4) * t + 2


def upscale_phases(scale: int) -> list[list[float]]:
    """Bicubic upscaling along one axis: output ``scale * i + r`` is ``sum_k phases[r][k] * x[i + k - 2]``."""
    distances = [[abs((r + 0.5) / scale - 0.5 - offset) for offset in range(-2, 3)] for r in range(scale)]
    return [[_near(t) if t <= 1 else _far(t) if t < 2 else 0.0 for t in row] for row in distances]


def upscale_reach(scale: int, radius: int = 0) -> int:
    """How many LR pixels away an LR pixel can be from an output pixel within `radius` of which it is used.

    >>> [upscale_reach(scale) for scale in (2, 3, 4)]
    [2, 2, 2]
    """
    return max(
        (r + radius) // scale
        + max(k - 2 for k, weight in enumerate(upscale_phases(scale)[(r + radius) % scale]) if weight)
        for r in range(scale)
    )


def upscale(x: Tensor, scale: int) -> Tensor:
    """MATLAB's bicubic ``imresize`` by an integer factor: a = -0.5, symmetric at the borders.

    Made of shifted sums, so that gradients pass, it exports with free sizes, and mixed precision
    leaves it in the precision of `x`.

    Args:
        x: (..., H, W), floating point.
        scale: 2 or more.

    Returns:
        (..., H * scale, W * scale).

    >>> upscale(torch.ones(1, 2, 2), 2)
    tensor([[[1., 1., 1., 1.],
             [1., 1., 1., 1.],
             [1., 1., 1., 1.],
             [1., 1., 1., 1.]]])
    """
    for axis in (-2, -1):
        length = x.shape[axis]
        padded = _padded(x, axis)
        phases = []
        for weights in upscale_phases(scale):
            terms = [weight * padded.narrow(axis, k, length) for k, weight in enumerate(weights) if weight]
            phases.append(functools.reduce(torch.add, terms))
        x = torch.stack(phases, dim=axis).flatten(axis - 1, axis)
    return x


def upscale_by_convolution(x: Tensor, scale: int) -> Tensor:
    """As `upscale`, up to rounding: one convolution and a pixel shuffle, faster and short when exported.

    On CUDA and under autocast it is `upscale`, for convolutions would be rounded there.

    Args:
        x: (N, C, H, W), floating point. scale: 2 or more.

    Returns:
        (N, C, H * scale, W * scale).
    """
    if x.is_cuda or torch.is_autocast_enabled(x.device.type):
        return upscale(x, scale)
    kernels = upscale_kernels(scale).to(x)
    count, channels, height, width = x.shape
    padded = _padded(_padded(x, -2), -1).reshape(count * channels, 1, height + 4, width + 4)
    result = functional.pixel_shuffle(functional.conv2d(padded, kernels), scale)
    return result.view(count, channels, height * scale, width * scale)


def upscale_kernels(scale: int) -> Tensor:
    """The kernels of `upscale_by_convolution`, (scale**2, 1, 5, 5), float64."""
    phases = torch.tensor(upscale_phases(scale), dtype=torch.float64)
    return (phases[:, None, :, None] * phases[:, None, :]).view(scale**2, 1, 5, 5)


def _padded(x: Tensor, axis: int) -> Tensor:
    """Two pixels more at both ends, symmetrically: the outermost pixel comes twice."""
    length = x.shape[axis]
    positions = torch.arange(-2, length + 2, device=x.device)
    positions = torch.maximum(positions, -1 - positions)
    positions = torch.minimum(positions, 2 * length - 1 - positions)
    return x.index_select(axis, torch.maximum(positions, -1 - positions))  # again: for one pixel


def shifted_upscale_kernels(scale: int) -> dict[Shift, Tensor]:
    """Bicubic upscaling as a sum of transposed convolutions over shifted copies of LR.

    A transposed convolution of 9 taps covers ``9 / scale`` LR pixels, fewer than the four
    that bicubic needs at x3 and x4; what falls outside is held by kernels that act on LR shifted by
    one pixel, or two.

    Returns:
        (dy, dx) -> (9, 9) kernel acting on ``x[y + dy, x + dx]``, the heaviest first.
    """
    size, padding = 9, 4
    half: dict[int, Tensor] = {}
    reach = 2 * scale
    for offset in range(-reach - padding, reach + padding + 1):
        weight = cubic(torch.tensor((offset + 0.5) / scale - 0.5, dtype=torch.float64))
        for shift in (0, -1, 1, -2, 2):
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
    center = (scale - 1) / 2
    positions = torch.arange(-2 * scale, 3 * scale, dtype=torch.float64)
    weights = cubic((positions - center) / scale)
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
    """He's normal initialization for a convolution followed by a PReLU of this slope."""
    fan_in = weight[0].numel()
    weight.normal_(0.0, math.sqrt(2 / ((1 + slope**2) * fan_in)))


def kaiming_network_(network: nn.Module, slope: float = 0.25) -> None:
    """He's initialization of all convolutions, transposed ones of size 0.001, and biases of zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if isinstance(module, nn.Conv2d):
                kaiming_(module.weight, slope)
            else:
                module.weight.normal_(0.0, 0.001)
            if module.bias is not None:
                module.bias.zero_()
