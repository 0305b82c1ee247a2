"""Validating a phase's network: scores to the log, the network to a file, and the best one kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ..images import Image, write_image
from ..losses.base import LossInputs
from .feature_maps import feature_maps, first_patches
from .running_phase import RunningPhase
from .student_with_losses import StudentWithLosses
from .task import Scores

logger = logging.getLogger("sr_kd")


@dataclass
class Validation:
    """Measures, logs and exports.

    Attributes:
        less_is_better: metrics whose smaller value is the better one; the recipe's first one chooses the best network.
        watch: called on rank 0 after every validation but the final one.
        best: its value, with the set and the metric that it was measured by.
    """

    phase: RunningPhase
    less_is_better: Collection[str] = ()
    watch: Callable[[], None] | None = None
    best: dict[str, Any] = field(default_factory=dict)

    def run(self, clock: int, final: bool = False) -> Scores:
        """Validate after `clock` iterations of the phase; exports the network as "latest" if it is the final one."""
        network = self.phase.plan.network
        self.phase.plan.step.student.eval()
        self.phase.world.share_buffers(network)  # all measure the network that rank 0 writes
        scores = self.phase.task.validate(network, partial(self._keep, clock))
        self._log_features(clock)
        self.phase.plan.step.student.train()
        flat = {f"metrics/{name}/{metric}": value for name, row in scores.items() for metric, value in row.items()}
        self.phase.log.scalars(clock, flat)
        if self.phase.world.leads:
            for name, row in scores.items():
                shown = ", ".join(f"{metric} {value:.4f}" for metric, value in row.items())
                logger.info("%s, iteration %d, %s: %s", self.phase.files.label, clock, name, shown)
            self.phase.files.export("latest" if final else str(clock), self.phase.plan, clock, scores)
            self._keep_best(clock, scores)
            if self.watch is not None and not final:
                self.watch()
        return scores

    def _log_features(self, clock: int) -> None:
        """What the losses see, always of the same patches."""
        step, teacher = self.phase.plan.step, self.phase.plan.teacher
        if self.phase.log.takes_images and teacher is not None and isinstance(step, StudentWithLosses):
            for name, image in feature_maps(step, teacher, self._patches):
                self.phase.log.image(clock, name, image)

    @cached_property
    def _patches(self) -> LossInputs:
        return first_patches(self.phase.task.batch(0))

    def export_unmeasured(self, clock: int) -> None:
        """The network beside its state, as in BasicSR."""
        self.phase.world.share_buffers(self.phase.plan.network)
        if self.phase.world.leads:
            self.phase.files.export(str(clock), self.phase.plan, clock, {})

    def load_best(self, saved: Any) -> None:
        """What a saved state knows of the best network; in one of an earlier version, of an unnamed set and metric."""
        self.best = dict(saved) if isinstance(saved, dict) else {"value": saved}

    def _keep_best(self, clock: int, scores: Scores) -> None:
        """Export the network as "best" if it is; another set or metric than before begins anew."""
        select_by = self.phase.recipe.val.metrics[0]
        for name, row in list(scores.items())[:1]:
            metric = select_by if select_by in row else next(iter(row))
            measured_by = {"set": name, "metric": metric}
            if measured_by != {key: self.best.get(key, value) for key, value in measured_by.items()}:
                logger.warning("%s: the best network is chosen anew, by %s of %s", self.phase.files.label, metric, name)
                self.best = {}
            value, sign = row[metric], -1 if metric in self.less_is_better else 1
            if sign * value > sign * self.best.get("value", -sign * math.inf):
                self.best = {**measured_by, "value": value}
                self.phase.files.export("best", self.phase.plan, clock, scores)

    def _keep(self, clock: int, images: str, name: str, pixels: np.ndarray, strip: np.ndarray | None) -> None:
        """One validated image: all of it as a file where that is asked for, and for TensorBoard its strip."""
        if self.phase.files.images is not None:
            folder = self.phase.files.images / images / name
            write_image(folder / f"{name}_{self.phase.files.label}_{clock}.png", Image(pixels))
        if strip is not None:
            self.phase.log.image(clock, f"{images}/{name}", torch.from_numpy(strip).permute(2, 0, 1) / 255)
