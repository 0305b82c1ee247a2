"""Inference: ours beside plain PyTorch and other programs on the exported network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.color import gray_to_y
from ..errors import SrKdError
from ..export.export import export_network
from ..files import temporary_folder
from ..imaging.runner import RunPrecision
from ..imaging.runtimes import PRECISIONS, open_exported
from ..imaging.upscaler import Upscaler
from ..networks.base import SRNetwork
from ..networks.complexity import count_multiply_adds
from .machine import Machine
from .plain import in_plain_layers
from .report import SpeedComparison
from .timing import time_in_turn

Run = Callable[[], Tensor]
OURS, PLAIN, OPENCV = "sr_kd", "plain PyTorch", "OpenCV dnn"


@dataclass(frozen=True)
class InferenceBench:
    """One image of random pixels through a network.

    Attributes:
        network: single-scale.
        name: what the table calls it.
        height, width: of the LR image.
        device: of ours and of plain PyTorch; the others compute on the CPU.
        precision: one more candidate of ours, where it is not "fp32".
    """

    network: SRNetwork
    name: str
    height: int
    width: int
    device: torch.device
    precision: RunPrecision = "fp32"

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> SpeedComparison:
        """Every candidate that runs here; the remarks hold the largest difference from plain PyTorch."""
        runs, absent = self.candidates()
        reference = runs[PLAIN]()
        notes = {name: f"differs by {difference(run(), reference):.2g} gray levels" for name, run in runs.items()}
        others = [name for name in runs if not name.startswith(OURS)]
        seconds = time_in_turn(runs, repetitions, usual_memory=others, device=self.device, quiet=quiet)
        shape = (1, self.network.channels, self.height, self.width)
        scale = self.network.scale
        size = f"{self.width}x{self.height} to {self.width * scale}x{self.height * scale}"
        lower_bound = machine.lower_bound(
            count_multiply_adds(self.network, shape), 4 * self.height * self.width * (1 + scale**2)
        )
        return SpeedComparison(f"Inference, {self.name}, {size}", seconds, lower_bound, absent, notes, unit="image")

    def candidates(self) -> tuple[dict[str, Run], dict[str, str]]:
        """Name -> one run of it, giving (1, C, H * scale, W * scale); and name -> why one is missing."""
        image = np.random.default_rng(0).random((self.height, self.width, self.network.channels), np.float32)
        # What a "y" network sees of a gray image, and an "rgb" network of a colored one.
        seen = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()
        seen = gray_to_y(seen) if self.network.color == "y" else seen
        runs: dict[str, Run] = {OURS: self._ours(image, "fp32")}
        if self.precision != "fp32":
            runs[f"{OURS}, {self.precision}"] = self._ours(image, self.precision)
        plain = in_plain_layers(self.network).eval().to(self.device)
        lr = seen.to(self.device)
        runs[PLAIN] = lambda: _without_gradients(plain, lr)
        others, absent = self._others(seen)
        return {**runs, **others}, absent

    def _others(self, seen: Tensor) -> tuple[dict[str, Run], dict[str, str]]:
        """Other programs, on one exported file."""
        runs: dict[str, Run] = {}
        absent = {}
        with temporary_folder() as folder:
            path = folder / "network.onnx"
            try:
                export_network(self.network, path)
            except SrKdError as error:
                return {}, dict.fromkeys((*PRECISIONS, OPENCV), str(error))
            for runtime, precisions in PRECISIONS.items():
                for precision in precisions:
                    name = runtime if precision == "fp32" else f"{runtime}, {precision}"
                    if find_spec(runtime) is None:
                        absent[name] = "not installed"
                        continue
                    forward = open_exported(path, runtime, precision)
                    runs[name] = lambda forward=forward: forward(seen)  # type: ignore[misc]
            try:
                opencv = open_in_opencv(path, seen)
            except SrKdError as error:
                absent[OPENCV] = str(error)
            else:
                runs[OPENCV] = lambda: opencv(seen)
        return runs, absent

    def _ours(self, image: np.ndarray, precision: RunPrecision) -> Run:
        """The way of every image: tiles, color, clamping."""
        upscaler = Upscaler(self.network, device=self.device, precision=precision)

        def run() -> Tensor:
            sr = torch.from_numpy(upscaler.upscale(image)).permute(2, 0, 1)[None]
            return gray_to_y(sr) if self.network.color == "y" else sr

        return run


def difference(sr: Tensor, reference: Tensor) -> float:
    """The largest difference of two results in gray levels of 255, both clamped to what an image can hold."""
    low, high = float(sr.min()), float(sr.max())
    return 255 * float((sr.cpu() - reference.cpu().clamp(low, high)).clamp(-1, 1).abs().max()) if low < high else 0.0


def open_in_opencv(path: Path, example: Tensor) -> Callable[[Tensor], Tensor]:
    """An ONNX file's network in OpenCV's dnn module, for images of the example's size.

    Raises:
        SrKdError: this version of OpenCV cannot read or run it.
    """
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    try:
        net = cv2.dnn.readNetFromONNX(str(path))

        def forward(x: Tensor) -> Tensor:
            net.setInput(x.numpy())
            return torch.from_numpy(net.forward())

        forward(example)
    except cv2.error as error:
        raise SrKdError(f"OpenCV {cv2.__version__} cannot run it: {str(error).strip().splitlines()[-1]}") from None
    return forward


def _without_gradients(network: torch.nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(x)
