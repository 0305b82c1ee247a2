"""Measuring: PSNR, SSIM and MATLAB's resize, beside BasicSR's functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..data.image_set import ImageSet
from ..data.resize import imresize, make_lr
from ..evaluation.benchmark import score_image
from ..evaluation.protocols import find_protocol, to_levels, to_pixels
from ..evaluation.threads import in_threads
from .baselines import BASICSR, find_basicsr
from .machine import Machine
from .report import SpeedComparison
from .timing import time_in_turn

OURS = "sr_kd"
LARGE = (1080, 2048, 3)
Scores = list[tuple[float, float]]


@dataclass(frozen=True)
class EvaluationBench:
    """Bicubic results of a set, measured on luma, and one large image made smaller.

    Attributes:
        images: HR images.
        scale: upscaling whose results are measured, and the factor of the resize.
    """

    images: ImageSet
    scale: int

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> list[SpeedComparison]:
        """The metrics and the resize."""
        return [self._metrics(machine, repetitions, quiet), self._resize(machine, repetitions, quiet)]

    def metric_runs(self) -> tuple[dict[str, Callable[[], Scores]], dict[str, str]]:
        """(candidate -> one run over all images, candidate -> why it is absent)."""
        pairs = [self._pair(index) for index in range(len(self.images))]
        rule, scale = find_protocol("basicsr"), self.scale

        def ours() -> Scores:
            def measure(pair: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
                score = score_image("", to_levels(pair[0]).float(), to_levels(pair[1]), rule, scale)
                return float(score.psnr or 0), float(score.ssim or 0)

            return in_threads(measure, pairs)

        basicsr, absent = find_basicsr()
        if basicsr is None:
            return {OURS: ours}, absent
        # BasicSR's order of channels is BGR.
        reversed_pairs = [tuple(np.ascontiguousarray(image[..., ::-1]) for image in pair) for pair in pairs]
        options = {"crop_border": scale, "test_y_channel": True}

        def theirs() -> Scores:
            metrics = basicsr.metrics
            return [
                (metrics.calculate_psnr(sr, hr, **options), metrics.calculate_ssim(sr, hr, **options))
                for sr, hr in reversed_pairs
            ]

        return {OURS: ours, BASICSR: theirs}, absent

    def resize_runs(self) -> tuple[dict[str, Callable[[], np.ndarray]], dict[str, str]]:
        """(candidate -> one resize of the large image to (h, w, 3), candidate -> why it is absent)."""
        image = np.random.default_rng(0).random(LARGE, np.float32)
        planes = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        size = (LARGE[0] // self.scale, LARGE[1] // self.scale)
        runs: dict[str, Callable[[], np.ndarray]] = {OURS: lambda: imresize(planes, size).permute(1, 2, 0).numpy()}
        basicsr, absent = find_basicsr()
        if basicsr is not None:
            resize = basicsr.utils.matlab_functions.imresize
            runs[BASICSR] = lambda: resize(image, 1 / self.scale)
        return runs, absent

    def _metrics(self, machine: Machine, repetitions: int, quiet: bool) -> SpeedComparison:
        runs, absent = self.metric_runs()
        found = {name: np.array(run()) for name, run in runs.items()}
        notes = {}
        if BASICSR in found:
            psnr, ssim = np.abs(found[BASICSR] - found[OURS]).max(axis=0)
            notes[BASICSR] = f"largest differences {psnr:.1e} dB, {ssim:.1e}"
        seconds = time_in_turn(runs, repetitions, usual_memory={BASICSR}, quiet=quiet)
        pixels = int(self.images.lr_sizes.prod(axis=1).sum()) * self.scale**2
        title = f"PSNR and SSIM on luma, {self.images.name}, {len(self.images)} images"
        lower_bound = machine.lower_bound(0, 2 * 3 * pixels)
        return SpeedComparison(title, seconds, lower_bound, absent, notes, "image", len(self.images))

    def _resize(self, machine: Machine, repetitions: int, quiet: bool) -> SpeedComparison:
        runs, absent = self.resize_runs()
        found = {name: run() for name, run in runs.items()}
        notes = {}
        if BASICSR in found:
            notes[BASICSR] = f"largest difference {np.abs(found[BASICSR] - found[OURS]).max():.1e} of 1"
        seconds = time_in_turn(runs, repetitions, usual_memory={BASICSR}, quiet=quiet)
        height, width, channels = LARGE
        title = f"MATLAB resize, {width}x{height} RGB by 1/{self.scale}"
        lower_bound = machine.lower_bound(0, 4 * channels * height * width * (1 + 1 / self.scale**2))
        return SpeedComparison(title, seconds, lower_bound, absent, notes, "image")

    def _pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(bicubic result, HR), both (H, W, 3) uint8."""
        hr = np.broadcast_to(self.images.read_hr(index), (*self.images.read_hr(index).shape[:2], 3))
        lr = to_levels(make_lr(np.ascontiguousarray(hr), self.scale))
        return to_pixels(imresize(lr, (hr.shape[0], hr.shape[1]))), np.ascontiguousarray(hr)
