"""Precision and normalization: what keeps the losses finite on flat patches and in half precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def widen(feature: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are.

    >>> widen(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return feature.float() if feature.dtype.itemsize < 4 else feature


def full_precision(feature: Tensor) -> torch.autocast:
    """A context without autocast on the tensor's device; its inputs must be widened."""
    return torch.autocast(feature.device.type, enabled=False)


def unit(values: Tensor, eps: float = 1e-10) -> Tensor:
    """Rows (..., n) scaled to length 1: x / sqrt(sum x^2 + n * eps).

    Smooth at zero: the usual x / max(|x|, 1e-12) sends a gradient of 1e12 into a row that happens to be
    all zero, and flat patches make such rows routine. `eps` is the mean square under which a row counts
    as dead; the length of a row far above it is 1 to within rounding.

    >>> unit(torch.tensor([3.0, 4.0]))
    tensor([0.6000, 0.8000])
    """
    return _Unit.apply(values, eps)


def inverse_length(values: Tensor, eps: float = 1e-10) -> Tensor:
    """1 / sqrt(sum x^2 + n * eps) of rows (..., n), as :func:`unit` scales them: (...)."""
    return torch.linalg.vector_norm(values, dim=-1).square_().add_(values.shape[-1] * eps).rsqrt_()


class _Unit(torch.autograd.Function):
    """`unit` with the gradient written out: half the passes over a large factor that autograd's would take. It can be
    differentiated once."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, eps: float) -> Tensor:
        scale = inverse_length(values, eps).unsqueeze(-1)
        result = values * scale
        ctx.save_for_backward(result, scale)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        result, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, result).unsqueeze(-1)
        # Not addcmul, which leaves the fast path where one of its arguments is broadcast.
        return (result * along.neg_()).add_(gradient).mul_(scale), None
