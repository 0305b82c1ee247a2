"""The Laplace negative log-likelihood of PISR, and a form of it that a CPU computes in half the time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

BLOCK = 2**15  # elements per thread that are worked on together, so that they stay in the cache
EPS = 1e-8  # the least scale


def laplace_nll(target: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """mean [ log(2 b) + |t - mu| / b ]; tensors broadcast to the target's shape (N, C, H, W).

    log(2 b) + |t - mu| / b with b = 1/2 and t - mu = 1:

    >>> zero = torch.zeros(1, 1, 2, 2)
    >>> laplace_nll(zero + 1, zero, zero + 0.5).item()
    2.0
    """
    return math.log(2) + torch.log(scale).mean() + ((target - location).abs() / scale).mean()


def positive(raw: Tensor, factor: float) -> Tensor:
    """A scale or variance from an unbounded prediction: factor * softplus(raw) + 1e-8.

    >>> positive(torch.tensor(0.0), factor=2.0)
    tensor(1.3863)
    """
    return factor * functional.softplus(raw) + EPS


def laplace_nll_of_raw(target: Tensor, location: Tensor, raw: Tensor, factor: float) -> Tensor:
    """`laplace_nll` with the scale `positive(raw, factor)`; no gradient reaches the target.

    Where the three lie alike in a CPU's memory, value and gradients are made together in one pass over it: autograd
    would take some twenty over maps that no cache holds. The same up to rounding; it can be differentiated once.
    """
    target = target.detach()
    if _alike(target, location, raw):
        return _InOnePass.apply(target, location, raw, factor)
    return laplace_nll(target, location, positive(raw, factor))


def _alike(*maps: Tensor) -> bool:
    """Dense float32 of one shape and memory order, on a CPU, and no graph is being traced."""
    first = maps[0]
    dense = first.is_contiguous() or (first.ndim == 4 and first.is_contiguous(memory_format=torch.channels_last))
    return (
        dense
        and not torch.compiler.is_compiling()
        and all(
            each.device.type == "cpu"
            and each.dtype == torch.float32
            and each.shape == first.shape
            and each.stride() == first.stride()
            for each in maps
        )
    )


class _InOnePass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, target: Tensor, location: Tensor, raw: Tensor, factor: float) -> Tensor:
        to_location, to_raw = torch.empty_like(location), torch.empty_like(raw)
        maps = (target, location, raw, to_location, to_raw)
        block = BLOCK * torch.get_num_threads()
        total = 0.0
        pieces = (flat.split(block) for flat in (each.as_strided((each.numel(),), (1,)) for each in maps))
        for t, mu, r, d_mu, d_r in zip(*pieces, strict=True):
            scale = positive(r, factor)
            inverse = scale.reciprocal()
            error = torch.sub(mu, t)
            torch.sign(error, out=d_mu).mul_(inverse)
            relative = error.abs_().mul_(inverse)
            total += float(scale.log_().sum() + relative.sum())
            # d/db [log b + e / b] = (1 - e / b) / b, and db / draw = factor * sigmoid(raw)
            torch.sigmoid(r, out=d_r).mul_(inverse).mul_(relative.neg_().add_(1)).mul_(factor)
        ctx.count = target.numel()
        ctx.save_for_backward(to_location, to_raw)
        return target.new_tensor(math.log(2) + total / ctx.count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor, None]:
        to_location, to_raw = ctx.saved_tensors
        share = gradient / ctx.count
        return None, to_location * share, to_raw * share, None
