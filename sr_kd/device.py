"""Choosing the device that the numerical work runs on."""

from __future__ import annotations

import os

import torch

from .errors import UsageError


def pick_device(name: str = "auto") -> torch.device:
    """ "auto" (CUDA, then MPS, then CPU), "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        UsageError: an unknown device, or one that this machine or build of torch does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"unknown device '{name}'; allowed: auto, cpu, cuda, cuda:<number>, mps")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UsageError(
            f"device '{name}' is not available here: torch sees {torch.cuda.device_count()} CUDA device(s)"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not available here; use --device cpu")
    return torch.device(name)


def wait_for(device: torch.device | None) -> None:
    """Until an accelerator has done all that was asked of it; at once for None and CPUs."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device is not None and device.type == "mps":
        torch.mps.synchronize()


def physical_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
