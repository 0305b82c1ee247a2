"""Half precision where it is faster and cannot be seen: measured on photographs, for this network on this device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..networks.base import SRNetwork
from .probe import TOLERANCE, photograph_pairs
from .runner import NetworkRunner, RunPrecision
from .runtimes import Runtime

LARGEST_LOSS = 0.01  # dB


@dataclass(frozen=True)
class Choice:
    """A precision, and the reason in a few words."""

    precision: RunPrecision
    reason: str


def choose_precision(network: SRNetwork | None, device: torch.device, runtime: Runtime = "torch") -> Choice:
    """fp16 or bf16 if the hardware is faster in it and `compare_precision` finds the network as good in it, else fp32.

    Args:
        network: single-scale; None: bicubic interpolation.
        device: where it will work.
        runtime: what will run it.
    """
    fast = fast_precision(device, runtime)
    if network is None:
        return Choice("fp32", "bicubic interpolation has no network")
    if fast is None:
        return Choice("fp32", f"{runtime} on {device} is not known to be faster in half precision")
    return compare_precision(network, device, fast, runtime)


def compare_precision(
    network: SRNetwork, device: torch.device, half: RunPrecision, runtime: Runtime = "torch"
) -> Choice:
    """Half precision if it cannot be seen, else fp32, on cuttings of four photographs: no pixel may differ from fp32's
    by more than one gray level of 255, nor the mean PSNR fall by more than 0.01 dB.

    Raises:
        SrKdError: the network's results are no numbers, or of another size than it declares.
    """
    exact = NetworkRunner(network, device, "fp32", False, runtime)
    rounded = NetworkRunner(network, device, half, False, runtime)
    differences, losses = [], []
    for lr, hr in photograph_pairs(network.channels, network.scale):
        expected, found = (run(lr.to(device)).cpu().clamp(0, 1) for run in (exact, rounded))
        differences.append(255 * float((found - expected).abs().max()))
        losses.append(10 * float(((found - hr).square().mean() / (expected - hr).square().mean()).log10()))
    difference, loss = max(differences), sum(losses) / len(losses)
    measured = f"on photographs {half} differs by up to {difference:.2f} gray levels and loses {loss:.3f} dB"
    if runtime == "torch" and rounded.precision != half:
        return Choice("fp32", f"{half} overflows")
    if not (difference <= TOLERANCE and loss <= LARGEST_LOSS):
        return Choice("fp32", f"{measured}; allowed: {TOLERANCE:g} and {LARGEST_LOSS:g}")
    return Choice(half, measured)


def fast_precision(device: torch.device, runtime: Runtime = "torch") -> RunPrecision | None:
    """The half precision in which the hardware convolves faster than in fp32; None where none is known."""
    if device.type == "cuda":
        return "fp16"
    if device.type == "cpu" and runtime != "onnxruntime":
        able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else None
    return None
