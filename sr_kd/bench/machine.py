"""The machine: its name, and what it can do at best (the rates that lower bounds are worked out from)."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from ..recipes.environment import installed_versions
from .timing import time_in_turn

PACKAGES = ("torch", "numpy", "opencv-python", "onnxruntime", "openvino", "basicsr")
_SIDE = {"cpu": 1536, "cuda": 8192, "mps": 4096}  # of the matrices multiplied
_COPIED = {"cpu": 2**28, "cuda": 2**31, "mps": 2**29}  # bytes copied: beyond every cache


@dataclass(frozen=True)
class Machine:
    """Where a benchmark ran.

    Attributes:
        processor: what computed ("AMD EPYC, 2 threads", "NVIDIA H200").
        system: operating system and Python.
        versions: of the packages that take part.
        fp32, bf16: measured rate of a large matrix product, multiply-adds per second.
        copy: measured rate of a large copy, bytes read plus bytes written per second.
    """

    processor: str
    system: str
    versions: dict[str, str]
    fp32: float
    bf16: float
    copy: float

    def lower_bound(self, multiply_adds: float, moved: float = 0.0) -> float:
        """Seconds that arithmetic in fp32, or moving that many bytes, takes at the least."""
        return max(multiply_adds / self.fp32, moved / self.copy)


def measure_machine(device: torch.device, repetitions: int = 5) -> Machine:
    """Name the machine and measure its rates, which takes about a second."""
    side, size = _SIDE[device.type], _COPIED[device.type]
    single = torch.randn(side, side, device=device)
    half = single.bfloat16()
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    seconds = time_in_turn(
        {"fp32": lambda: single @ single, "bf16": lambda: half @ half, "copy": lambda: target.copy_(source)},
        repetitions,
        device=device,
    )
    return Machine(
        processor=_processor(device),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        versions=installed_versions(PACKAGES),
        fp32=side**3 / seconds["fp32"],
        bf16=side**3 / seconds["bf16"],
        copy=2 * size / seconds["copy"],
    )


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor_name()}, {torch.get_num_threads()} threads of {os.cpu_count()}"


def _processor_name() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
