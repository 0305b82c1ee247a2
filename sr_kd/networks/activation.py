"""PReLU with one slope per layer, several times faster on a CPU than PyTorch's.

PyTorch computes the slope's gradient as a second tensor of the input's size and then adds it up; at
the output's resolution that costs as much as a convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

BLOCK = 2**16  # elements per thread that are worked on together, so that they stay in the cache


class PReLU(nn.PReLU):
    """As `torch.nn.PReLU`, weights included; values and gradients are the same up to rounding."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.numel() == 1 and _suits(input, self.weight):
            return _SharedSlope.apply(input, self.weight)
        return super().forward(input)


class _SharedSlope(torch.autograd.Function):
    """max(x, 0) + slope * min(x, 0), block by block in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.slope = float(slope)
        ctx.save_for_backward(x)
        return functional.leaky_relu(x, ctx.slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (x,) = ctx.saved_tensors
        result = torch.empty_like(x)
        if gradient.stride() != x.stride():
            gradient = torch.empty_like(x).copy_(gradient)
        # Dense tensors of equal strides: in memory order their elements correspond.
        flat_x, flat_gradient, flat_result = (t.as_strided((t.numel(),), (1,)) for t in (x, gradient, result))
        block = BLOCK * torch.get_num_threads()
        total = 0.0
        for start in range(0, len(flat_x), block):
            piece, arriving = flat_x[start : start + block], flat_gradient[start : start + block]
            torch.ops.aten.leaky_relu_backward.grad_input(
                arriving, piece, ctx.slope, False, grad_input=flat_result[start : start + block]
            )
            total += float(torch.dot(arriving, piece.clamp(max=0)))
        return result, x.new_tensor([total])


def fix_slopes(network: nn.Module) -> None:
    """For inference: every PReLU with one slope becomes a leaky ReLU in place of its input.

    In place, for a fresh feature map costs a CPU more than its values do. What comes before a PReLU here is a
    convolution, whose result nobody else reads. Not so with a negative slope, for then the result does not tell the
    gradient, which a frozen teacher's tail passes on (SRRL).
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PReLU) and child.weight.numel() == 1:
                slope = float(child.weight.detach())
                setattr(parent, name, nn.LeakyReLU(slope, inplace=slope >= 0))


def _suits(x: Tensor, slope: Tensor) -> bool:
    """Dense, on a CPU, and no graph is being traced."""
    return (
        x.device.type == "cpu"
        and x.dtype == slope.dtype
        and (x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)))
        and not torch.compiler.is_compiling()
    )
