"""A transposed convolution rewritten as a convolution and a pixel shuffle: equal, and faster to run."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SubPixelConvolution(nn.Module):
    """Convolution to ``channels * scale**2`` channels, then pixel shuffle.

    Args:
        weight: (channels * scale**2, C_in, k, k).
        bias: (channels * scale**2,) or None.
        scale: pixel shuffle factor.
        padding: (left, right, top, bottom) zero padding in input pixels.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, scale: int, padding: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.scale = scale
        self.padding = padding

    @classmethod
    def from_transposed(cls, layer: nn.ConvTranspose2d) -> SubPixelConvolution:
        """The equivalent of a square transposed convolution, cut to its first stride * input pixels.

        Output pixel ``s * i + r`` sums ``weight[t] * x[j]`` with ``t = s * (i - j) + r + padding``;
        collecting, for every phase r, the taps by ``j - i`` gives a convolution: 5x5 at x2, 4x4 at
        x3 and 3x3 at x4 for FSRCNN's 9x9 kernel (padding 4); 9x9, 6x6 and 5x5 for IDN's 17x17.
        """
        scale, padding, size = int(layer.stride[0]), int(layer.padding[0]), int(layer.kernel_size[0])
        source = layer.weight.detach()
        channels_in, channels_out = source.shape[:2]
        first = min(-((size - 1 - r - padding) // scale) for r in range(scale))
        last = max((r + padding) // scale for r in range(scale))
        taps = last - first + 1
        weight = source.new_zeros(channels_out, scale, scale, channels_in, taps, taps)
        where = [
            (r, k, scale * -(first + k) + r + padding)
            for r in range(scale)
            for k in range(taps)
            if 0 <= scale * -(first + k) + r + padding < size
        ]
        for ry, ky, ty in where:
            for rx, kx, tx in where:
                weight[:, ry, rx, :, ky, kx] = source[:, :, ty, tx].t()
        bias = None if layer.bias is None else layer.bias.detach().repeat_interleave(scale * scale)
        return cls(weight.flatten(0, 2), bias, scale, (-first, last, -first, last))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, channels, H * scale, W * scale)."""
        left, right, top, bottom = self.padding
        if left == right == top == bottom:
            x = functional.conv2d(x, self.weight, self.bias, padding=left)
        else:
            x = functional.conv2d(functional.pad(x, self.padding), self.weight, self.bias)
        return functional.pixel_shuffle(x, self.scale)
