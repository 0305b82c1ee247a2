"""Transposed convolutions as convolutions with a pixel shuffle: equal, and faster to run.

Output pixel ``f * i + r`` of a transposed convolution with stride s sums ``weight[t] * x[j]`` with
``t = f * i + r + padding - s * j``. Collecting the taps of every phase r by ``j - block * i``, with
f = s * block, gives a convolution of stride `block` and a pixel shuffle of f. With block 1 and
FSRCNN's 9x9 kernel (padding 4) it is 5x5 at x2, 4x4 at x3 and 3x3 at x4; 9x9, 6x6 and 5x5 with IDN's
17x17. A larger block computes several pixels' worth of channels at once: CPUs work on 16 channels at
a time, and one luma channel at x2 has four phases. So block 2 does 1.4 times the arithmetic and
is 2.5 times faster there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

LANES = 16  # float32 numbers in the widest vector registers


@dataclass(frozen=True)
class SubPixelForm:
    """Which weights of a square transposed convolution serve which phase and tap.

    Attributes:
        index: (factor**2, taps, taps) places in the flattened kernel; kernel_size**2 where there is none.
        factor: of the pixel shuffle.
        block: stride of the convolution; the input's sides must be multiples.
        padding: (left, right, top, bottom) zero padding in input pixels.
    """

    index: Tensor
    factor: int
    block: int
    padding: tuple[int, int, int, int]

    def weights(self, source: Tensor) -> Tensor:
        """(C_in, C_out, size, size) of the transposed convolution -> (C_out * factor**2, C_in, taps, taps)."""
        kernels = functional.pad(source.flatten(2), (0, 1))
        phases, taps, _ = self.index.shape
        gathered = kernels.index_select(2, self.index.flatten().to(source.device))
        unfolded = gathered.view(*source.shape[:2], phases, taps, taps)
        return unfolded.permute(1, 2, 0, 3, 4).reshape(-1, source.shape[0], taps, taps)

    def biases(self, source: Tensor | None) -> Tensor | None:
        """(C_out,) -> (C_out * factor**2,)."""
        return None if source is None else source.repeat_interleave(self.factor**2)

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H * scale, W * scale), with the results of `weights` and `biases`."""
        left, right, top, bottom = self.padding
        if left == right == top == bottom:
            y = functional.conv2d(x, weight, bias, self.block, padding=left)
        else:
            y = functional.conv2d(functional.pad(x, self.padding), weight, bias, self.block)
        return functional.pixel_shuffle(y, self.factor)


@cache
def sub_pixel_form(size: int, scale: int, padding: int, block: int) -> SubPixelForm:
    """The form of a transposed convolution of this kernel size, stride and padding."""
    factor = scale * block
    first = min(-((size - 1 - r - padding) // scale) for r in range(factor))
    last = max((r + padding) // scale for r in range(factor))
    taps = torch.arange(first, last + 1)
    place = torch.arange(factor)[:, None] + padding - scale * taps
    inside = (place >= 0) & (place < size)
    both = inside[:, None, :, None] & inside[None, :, None, :]
    index = torch.where(both, place[:, None, :, None] * size + place[None, :, None, :], size * size)
    after = last - (block - 1)
    return SubPixelForm(index.flatten(0, 1), factor, block, (-first, after, -first, after))


def best_block(channels: int, scale: int) -> int:
    """2 where four times the phases still fit into a vector register, else 1."""
    return 2 if channels * scale**2 * 4 <= LANES else 1


class TransposedConvolution(nn.ConvTranspose2d):
    """As `torch.nn.ConvTranspose2d`, weights included, cut to the first ``scale`` times the input's pixels.

    On a CPU the forward pass runs in sub-pixel form and the backward pass as it is, each being the faster.

    Args:
        channels_in, channels_out, size, padding: as there, with a square kernel.
        scale: its stride.
    """

    def __init__(self, channels_in: int, channels_out: int, size: int, scale: int, padding: int) -> None:
        surplus = size - scale - 2 * padding  # rows and columns of its own output beyond scale times the input
        super().__init__(
            channels_in, channels_out, size, stride=scale, padding=padding, output_padding=max(0, -surplus)
        )
        self.surplus = max(0, surplus)

    def form(self, block: int) -> SubPixelForm:
        """Its sub-pixel form."""
        return sub_pixel_form(self.kernel_size[0], self.stride[0], int(self.padding[0]), block)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        block = best_block(self.out_channels, self.stride[0])
        if (
            input.device.type == "cpu"
            and input.dtype == self.weight.dtype
            and input.shape[-2] % block == input.shape[-1] % block == 0
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        ):
            return _InSubPixelForm.apply(input, self.weight, self.bias, self, self.form(block))
        height, width = (side * self.stride[0] for side in input.shape[-2:])
        return super().forward(input, output_size)[..., :height, :width]


class _InSubPixelForm(torch.autograd.Function):
    """Forward in sub-pixel form, backward as a transposed convolution."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layer: TransposedConvolution, form: SubPixelForm
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layer, ctx.biased = layer, bias is not None
        return form.run(x, form.weights(weight).contiguous(memory_format=torch.channels_last), form.biases(bias))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        layer = ctx.layer
        if layer.surplus:
            gradient = functional.pad(gradient, (0, layer.surplus, 0, layer.surplus))
        found = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [layer.out_channels] if ctx.biased else None,
            layer.stride,
            layer.padding,
            layer.dilation,
            True,
            layer.output_padding,
            layer.groups,
            list(ctx.needs_input_grad[:3]),
        )
        return (*found, None, None)


class SubPixelConvolution(nn.Module):
    """The frozen sub-pixel form of a transposed convolution, for inference."""

    blocked_weight: Tensor
    blocked_bias: Tensor | None

    def __init__(self, layer: TransposedConvolution) -> None:
        super().__init__()
        self.form = layer.form(1)
        self.weight = nn.Parameter(self.form.weights(layer.weight.detach()))
        self.bias = (
            None if layer.bias is None else nn.Parameter(layer.bias.detach().repeat_interleave(layer.stride[0] ** 2))
        )
        block = best_block(layer.out_channels, layer.stride[0])
        self.blocked = layer.form(block) if block > 1 else None
        if self.blocked is not None:
            self.register_buffer("blocked_weight", self.blocked.weights(layer.weight.detach()), persistent=False)
            bias = None if layer.bias is None else self.blocked.biases(layer.bias.detach())
            self.register_buffer("blocked_bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H * scale, W * scale)."""
        if self.blocked is None or x.device.type != "cpu" or torch.compiler.is_compiling():
            return self.form.run(x, self.weight, self.bias)
        height, width = x.shape[-2:]
        block = self.blocked.block
        if height % block or width % block:
            x = functional.pad(x, (0, -width % block, 0, -height % block))
        y = self.blocked.run(x, self.blocked_weight, self.blocked_bias)
        return y[..., : height * self.form.factor, : width * self.form.factor]
