"""Color through a network: what happens to one window of an image, on the device."""

from __future__ import annotations

import contextlib
import copy
import logging
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

from ..data.color import gray_to_y, rgb_to_ycbcr, y_to_gray, ycbcr_to_rgb
from ..data.resize import imresize
from ..errors import SrKdError, UsageError, unknown_name
from ..networks.base import SRNetwork
from ..networks.complexity import count_widest_map
from ..networks.foreign import ForeignNetwork
from .runtimes import Runtime, check_runtime, run_elsewhere
from .self_ensemble import self_ensemble

Precision = Literal["fp32", "fp16", "bf16", "fp64"]
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}
HALF = (torch.float16, torch.bfloat16)
BICUBIC_RADIUS = 2
logger = logging.getLogger(__name__)


class WindowUpscaler:
    """Upscales windows: luma or RGB by the network, the chroma of a "y" network bicubically.

    Half precision is checked: values that are not finite switch to fp32 from there on, with a note.

    Args:
        network: single-scale, or None for bicubic interpolation.
        scale: the upscaling factor.
        device: where it works.
        precision: of the network; color and interpolation are at least fp32.
        tta: x8 self-ensemble of the network.
        runtime: what runs the network.

    Raises:
        UsageError: unknown precision, or a runtime that does not fit. SrKdError: weights that are not finite.
    """

    def __init__(
        self,
        network: SRNetwork | None,
        scale: int,
        device: torch.device,
        precision: Precision,
        tta: bool,
        runtime: Runtime = "torch",
    ) -> None:
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        if precision == "fp64" and device.type == "mps":
            raise UsageError("MPS devices have no fp64; use --device cpu")
        if network is not None and not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise SrKdError(f"the weights of this {network.type_name} are not finite numbers: its training diverged")
        check_runtime(runtime, device, precision)
        self._elsewhere = None
        if network is not None and runtime != "torch":
            self._elsewhere = run_elsewhere(network, runtime, precision)
            precision = "fp32"  # of what goes in and comes out
        self.scale = scale
        self.device = device
        self.tta = tta
        self.dtype = PRECISIONS[precision]
        self._exact = None if network is None else network.deploy().requires_grad_(False)
        self._deployed = self._place()

    @property
    def radius(self) -> int:
        """How many LR pixels to each side one output pixel depends on at most."""
        return BICUBIC_RADIUS if self._deployed is None else max(BICUBIC_RADIUS, self._deployed.receptive_radius)

    @property
    def thread_safe(self) -> bool:
        """Whether calls leave it as it is, so that threads may share it; nobody knows of networks of other projects."""
        foreign = isinstance(self._exact, ForeignNetwork)
        return self._elsewhere is None and self.dtype not in HALF and not foreign

    @property
    def bytes_per_pixel(self) -> int:
        """Size of the widest feature map, per LR pixel; what a tile's memory grows with."""
        widest = 16.0 * self.scale**2
        if self._deployed is not None:
            widest = max([tap.channels / tap.stride**2 for tap in self._deployed.taps.values()], default=64.0)
        return int(widest * self.dtype.itemsize)

    @property
    def most_bytes_per_pixel(self) -> int:
        """Size of the largest map of all, per LR pixel: between an upsampling and the output, too."""
        most = 16.0 * self.scale**2
        if self._deployed is not None:
            example = torch.zeros(1, self._deployed.channels, 8, 8, dtype=self.dtype, device=self.device)
            most = max(most, count_widest_map(self._deployed, example) / 8**2)
        return int(most * self.dtype.itemsize)

    @torch.inference_mode()
    def __call__(self, window: Tensor) -> Tensor:
        """(N, 1 or 3, h, w) in [0, 1], float32 or float64 -> (N, same, h * scale, w * scale), not clamped."""
        if self.dtype == torch.float64:
            window = window.double()
        network = self._deployed
        if network is None:
            return self.interpolate(window)
        gray = window.shape[1] == 1
        if network.color == "rgb":
            rgb = self._run(network, window.expand(-1, 3, -1, -1) if gray else window)
            return rgb.mean(dim=1, keepdim=True) if gray else rgb
        if gray:
            return y_to_gray(self._run(network, gray_to_y(window)))
        ycbcr = rgb_to_ycbcr(window)
        return ycbcr_to_rgb(torch.cat([self._run(network, ycbcr[:, :1]), self.interpolate(ycbcr[:, 1:])], dim=1))

    def interpolate(self, window: Tensor) -> Tensor:
        """Bicubic, whatever the network: for chroma and transparency."""
        return imresize(window, (window.shape[2] * self.scale, window.shape[3] * self.scale))

    def _run(self, network: SRNetwork, x: Tensor) -> Tensor:
        """The network, in its precision; the result in the precision of `x`."""
        result = self._forward(network, x)
        if self.dtype in HALF and not bool(result.isfinite().all()):
            logger.warning(
                "%s gave values that are not finite: going on in fp32", str(self.dtype).removeprefix("torch.")
            )
            self.dtype = torch.float32
            self._deployed = self._place()
            return self._run(self._deployed or network, x)
        return result

    def _forward(self, network: SRNetwork, x: Tensor) -> Tensor:
        with exact_convolutions(self.device, self.dtype):
            y = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
            run = self._elsewhere or network
            y = self_ensemble(run, y) if self.tta else run(y)
        return y.to(x.dtype)

    def _place(self) -> SRNetwork | None:
        """The network on the device in its precision; half of it is a copy, as falling back needs the whole."""
        if self._exact is None:
            return None
        network = copy.deepcopy(self._exact) if self.dtype in HALF else self._exact
        return network.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


def exact_convolutions(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """CUDA computes float32 convolutions with 10-bit mantissas unless told not to."""
    if device.type == "cuda" and dtype == torch.float32:
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return contextlib.nullcontext()
