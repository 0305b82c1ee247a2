"""A network at work: on its device, in its precision, by its runtime."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..errors import SrKdError, UsageError, unknown_name
from ..networks.base import SRNetwork
from ..networks.complexity import count_widest_map
from ..networks.foreign import PROBE, ForeignNetwork
from ..networks.reach import trusted_radius
from .color import TensorFunction
from .runtimes import Runtime, check_runtime, run_elsewhere
from .self_ensemble import self_ensemble

RunPrecision = Literal["fp32", "fp16", "bf16", "fp64"]
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}
HALF = (torch.float16, torch.bfloat16)
logger = logging.getLogger(__name__)


class NetworkRunner:
    """Runs a deployed copy of a network on tensors of the network's own color.

    Half precision is checked: values that are not finite switch to fp32 from there on, with a note.

    Args:
        network: single-scale.
        device: where it works.
        precision: of the network.
        tta: x8 self-ensemble.
        runtime: what runs the network.
        forward: takes the place of the network's forward pass (an exported file).

    Raises:
        SrKdError: weights that are not finite, or a network that the runtime cannot run.
    """

    def __init__(
        self,
        network: SRNetwork,
        device: torch.device,
        precision: RunPrecision,
        tta: bool,
        runtime: Runtime = "torch",
        forward: TensorFunction | None = None,
    ) -> None:
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise SrKdError(f"the weights of this {network.type_name} are not finite numbers: its training diverged")
        self._elsewhere = forward
        if runtime != "torch":
            self._elsewhere = run_elsewhere(network, runtime, precision)
            precision = "fp32"  # of what goes in and comes out
        self.device = device
        self.tta = tta
        self.dtype = PRECISIONS[precision]
        self._exact = network.deploy().requires_grad_(False)
        self._deployed = self._place()

    @cached_property
    def radius(self) -> int:
        """How many LR pixels to each side one output pixel depends on at most; probed.

        Raises:
            UsageError: the network declares too little.
        """
        return trusted_radius(self._exact)

    @property
    def precision(self) -> RunPrecision:
        """That it works in now."""
        return next(name for name, dtype in PRECISIONS.items() if dtype == self.dtype)  # type: ignore[misc]

    @property
    def thread_safe(self) -> bool:
        """Whether calls leave it as it is, so that threads may share it; nobody knows of networks of other projects."""
        foreign = isinstance(self._exact, ForeignNetwork)
        return self._elsewhere is None and self.dtype not in HALF and not foreign

    @property
    def bytes_per_pixel(self) -> int:
        """Size of the widest tapped feature map, per LR pixel; what a tile's memory grows with."""
        widest = max([tap.channels / tap.stride**2 for tap in self._deployed.taps.values()], default=64.0)
        return int(widest * self.dtype.itemsize)

    @cached_property
    def most_bytes_per_pixel(self) -> int:
        """Size of the largest map of all, per LR pixel: between an upsampling and the output, too."""
        side = PROBE if isinstance(self._exact, ForeignNetwork) else 8
        example = torch.zeros(1, self._deployed.channels, side, side, dtype=self.dtype, device=self.device)
        widest = count_widest_map(self._deployed, example) / side**2
        return int(max(16.0 * self._deployed.scale**2, widest) * self.dtype.itemsize)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, h, w) in [0, 1] -> (N, C, h * scale, w * scale), not clamped, in the precision of `x`.

        Raises:
            SrKdError: the network gives something else, or values that are not numbers.
        """
        with exact_convolutions(self.device, self.dtype):
            y = x.to(torch.float32 if self.dtype in HALF else self.dtype)  # what skips the network is not rounded
            y = y.contiguous(memory_format=torch.channels_last)
            run = self._elsewhere or self._deployed
            y = self_ensemble(run, y) if self.tta else run(y)
        expected = (*x.shape[:2], x.shape[2] * self._deployed.scale, x.shape[3] * self._deployed.scale)
        if y.shape != expected:
            raise SrKdError(f"the network gives {_size(y.shape)} pixels, not {_size(expected)}")
        if self.dtype in HALF and not bool(y.isfinite().all()):
            logger.warning(
                "%s gave values that are not finite: going on in fp32", str(self.dtype).removeprefix("torch.")
            )
            self.dtype = torch.float32
            self._deployed = self._place()
            return self(x)
        y = y.to(x.dtype)  # before the sum: half precision ends at 65,504
        if not bool(y.sum().isfinite()):  # one NaN or Inf is enough
            raise SrKdError(
                "the network's output holds NaN or Inf: its training diverged, or it is no network for images"
            )
        return y

    def _place(self) -> SRNetwork:
        """The network on the device in its precision; half of it is a copy, as falling back needs the whole."""
        network = copy.deepcopy(self._exact) if self.dtype in HALF else self._exact
        return network.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_arithmetic(precision: str, runtime: str, device: torch.device) -> None:
    """Refuse a precision or runtime that is unknown or does not fit the device, with a UsageError."""
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if precision == "fp64" and device.type == "mps":
        raise UsageError("MPS devices have no fp64; use --device cpu")
    check_runtime(runtime, device, precision)


def exact_convolutions(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """CUDA computes float32 convolutions with 10-bit mantissas unless told not to."""
    if device.type == "cuda" and dtype == torch.float32:
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return contextlib.nullcontext()


def _size(shape: Sequence[int]) -> str:
    """Width x height of (N, C, H, W), and the channels where they are neither 1 nor 3."""
    return f"{shape[3]}x{shape[2]}" if len(shape) == 4 and shape[1] in (1, 3) else str(tuple(shape))
