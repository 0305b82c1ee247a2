"""Mean absolute difference of rows scaled to length 1, and a form of it that a CPU computes in half the time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .numerics import inverse_length, unit

BLOCK = 2**15  # elements per thread that are worked on together, so that they stay in the cache


def unit_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """mean |unit(student) - unit(teacher)| of two (N, n).

    Where they lie in a CPU's memory and the teacher is a constant, the scaled rows are never written: value and
    signs are made together, block by block. The same up to rounding; it can be differentiated once.
    """
    if _suit(student, teacher):
        return _InBlocks.apply(student, teacher)
    return functional.l1_loss(unit(student), unit(teacher))


def _suit(student: Tensor, teacher: Tensor) -> bool:
    """Alike and dense on a CPU, the teacher a constant, and no graph is being traced."""
    return (
        student.device.type == "cpu"
        and student.dtype == teacher.dtype
        and student.shape == teacher.shape
        and student.numel() > 0
        and student.is_contiguous()
        and teacher.is_contiguous()
        and not teacher.requires_grad
        and not torch.compiler.is_compiling()
    )


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        signs = torch.empty_like(student)
        scales, teacher_scales = inverse_length(student).tolist(), inverse_length(teacher).tolist()
        block = BLOCK * torch.get_num_threads()
        total, along = 0.0, []
        for *rows, scale, teacher_scale in zip(student, teacher, signs, scales, teacher_scales, strict=True):
            product = 0.0
            for x, t, sign in zip(*(row.split(block) for row in rows), strict=True):
                error = torch.mul(x, scale).sub_(t * teacher_scale)  # not by alpha: equal rows differ by exactly 0
                torch.sign(error, out=sign)
                total += float(error.abs_().sum())
                product += float(torch.dot(sign, x))
            along.append(product * scale**2)
        ctx.save_for_backward(student, signs)
        ctx.scales, ctx.along = scales, along
        return student.new_tensor(total / student.numel())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        student, signs = ctx.saved_tensors
        result = torch.empty_like(student)
        share = float(gradient) / student.numel()
        # Only what is at right angles to a row changes its direction.
        for x, sign, to_x, scale, along in zip(student, signs, result, ctx.scales, ctx.along, strict=True):
            torch.mul(sign, scale * share, out=to_x).sub_(x, alpha=along * scale * share)
        return result, None
