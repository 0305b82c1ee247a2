"""One phase of one seed: drives its stages, saves, validates, logs, and can stop and continue anywhere."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..device import wait_for
from ..distributed import World
from ..errors import SrKdError
from ..images import Image, write_image
from ..networks.files import save_network
from ..progress import progress_bar
from .checkpoint import StateFolder
from .ema import EMA
from .mutual import MutualStudents
from .networks import seeded
from .run_log import RunLog
from .stages import Stage
from .step_times import StepTimes
from .stopping import StopRequest
from .student_with_losses import StudentWithLosses
from .task import Scores, Task

logger = logging.getLogger("sr_kd")


@dataclass
class PhaseRun:
    """Everything one phase needs while it runs.

    Attributes:
        label: what the bar and the log call it ("teacher", "student seed 1").
        stages: made one after the other, when each begins. lengths: their iterations.
        frequencies: after how many iterations to log, save and validate.
        times: of the last stage's iterations.
        seed: together with label and iteration it decides what a network with dropout drops.
        metadata: written into every exported network.
        images: where validated images are written, if they are.
        select_by: metric of the first validation set that chooses the best network, where it is measured.
    """

    label: str
    step: StudentWithLosses | MutualStudents
    stages: Sequence[Callable[[], Stage]]
    lengths: Sequence[int]
    ema: EMA | None
    task: Task
    states: StateFolder
    models: Path
    log: RunLog
    world: World
    stop: StopRequest
    times: StepTimes
    print_every: int
    save_every: int
    validate_every: int
    metadata: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    select_by: str = "psnr"
    images: Path | None = None
    quiet: bool = False
    _shown: dict[str, str] = field(default_factory=dict)
    best: float = -math.inf

    @property
    def network(self) -> nn.Module:
        """The network that counts: the average of the weights where there is one."""
        return self.ema.network if self.ema is not None else self.step.student

    def run(self, saved: dict[str, Any] | None) -> Scores:
        """Run from a saved state (or the start) to the end; returns the last validation.

        Raises:
            SrKdError: stopped on request (the state is saved), or a loss that is not finite.
        """
        first, done = 0, 0
        if saved is not None:
            first, done = saved["stage"], saved["iteration"]
            self.step.load_state_dict(saved["step"])
            self.best = saved["best"]
            if self.ema is not None:
                self.ema.load_state_dict(saved["ema"])
        for index in range(first, len(self.stages)):
            stage = self.stages[index]()
            if saved is not None and index == first:
                stage.load_state_dict(saved["optimization"])
            self._run_stage(index, stage, done)
            done = 0
        return self._validate(sum(self.lengths), final=True)

    def _run_stage(self, index: int, stage: Stage, start: int) -> None:
        main = index == len(self.stages) - 1
        title = self.label if main else f"{self.label}: {stage.name}"
        # Pre-training counts, so that every state of a phase has its own number.
        offset = sum(self.lengths[:index])
        with progress_bar(stage.total_iter, title, quiet=self.quiet or not self.world.leads, initial=start) as bar:
            for iteration in range(start, stage.total_iter):
                done = iteration + 1
                clock = offset + done
                saving = done % self.save_every == 0 or done == stage.total_iter
                # What is saved regularly was looked at: a loss that is not finite ends the run before.
                measure = saving or done % self.print_every == 0 or done == 1
                with seeded(self.seed, f"{self.label}/{clock}/{self.world.rank}"):
                    values = self._timed(stage, iteration, measure) if main else stage.update(iteration, measure)
                bar.update()
                if values:
                    self._record(clock, values, bar)
                # Several processes agree on it, which costs a synchronization: not at every iteration.
                stopping = (self.world.size == 1 or done % self.print_every == 0) and self.stop.requested(self.world)
                # Before saving, so that a state knows the best network of its own iteration.
                if main and done % self.validate_every == 0 and done < stage.total_iter:
                    self._validate(clock, final=False)
                if saving or stopping:
                    if main and done < stage.total_iter:
                        self._export_regularly(clock)
                    self._save(index, done, stage, clock)
                if stopping:
                    raise SrKdError(f"stopped at iteration {done} of {title}; continue with --auto_resume")

    def _timed(self, stage: Stage, iteration: int, measure: bool) -> dict[str, float]:
        """One iteration; what is logged costs more, so those iterations end an interval and are not timed."""
        began = time.perf_counter()
        if measure:
            wait_for(self.world.device)
            self.times.end_interval(time.perf_counter() - began)
            values = stage.update(iteration, measure)
            wait_for(self.world.device)
            return values
        values = stage.update(iteration, measure)
        self.times.add(time.perf_counter() - began)
        return values

    def _record(self, clock: int, values: dict[str, float], bar: Any) -> None:
        self.log.scalars(clock, values)
        shown = ", ".join(f"{name.removeprefix('losses/')} {value:.4g}" for name, value in _headline(values).items())
        bar.set_postfix_str(shown)
        if self.world.leads:
            everything = " ".join(f"{name}={value:.6g}" for name, value in values.items())
            logger.debug("%s iteration %d: %s", self.label, clock, everything)

    def _save(self, index: int, done: int, stage: Stage, clock: int) -> None:
        self.log.flush()  # the run will not come back to these iterations
        if self.world.leads:
            state = {
                "stage": index,
                "iteration": done,
                "step": self.step.state_dict(),
                "ema": None if self.ema is None else self.ema.state_dict(),
                "optimization": stage.state_dict(),
                "best": self.best,
            }
            self.states.save(clock, state)
            self.times.save()
        self.world.barrier()

    def _validate(self, clock: int, final: bool) -> Scores:
        self.step.student.eval()
        self.world.share_buffers(self.network)  # all measure the network that rank 0 writes
        scores = self.task.validate(self.network, partial(self._keep, clock))
        self.step.student.train()
        flat = {f"metrics/{name}/{metric}": value for name, row in scores.items() for metric, value in row.items()}
        self.log.scalars(clock, flat)
        if self.world.leads:
            for name, row in scores.items():
                logger.info(
                    "%s, iteration %d, %s: %s",
                    self.label,
                    clock,
                    name,
                    ", ".join(f"{k} {v:.4f}" for k, v in row.items()),
                )
            self._export("latest" if final else str(clock), clock, scores)
            self._drop_old_exports()
            first = next(iter(scores.values()), {})
            value = first.get(self.select_by, next(iter(first.values()), -math.inf))
            if value > self.best:
                self.best = value
                self._export("best", clock, scores)
        return scores

    def _export_regularly(self, clock: int) -> None:
        """The network beside its state, as in BasicSR, unless a validation has written it."""
        self.world.share_buffers(self.network)
        if self.world.leads and not (self.models / f"net_g_{clock}.pth").exists():
            self._export(str(clock), clock, {})
            self._drop_old_exports()

    def _drop_old_exports(self) -> None:
        """As many numbered networks stay as states do."""
        numbered = sorted(
            (path for path in self.models.glob("net_g_*.pth") if path.stem[6:].isdigit()),
            key=lambda path: int(path.stem[6:]),
        )
        for path in numbered[: -self.states.keep] if self.states.keep else []:
            path.unlink(missing_ok=True)

    def _keep(self, clock: int, images: str, name: str, pixels: np.ndarray) -> None:
        """One validated image: a crop of it for TensorBoard, all of it as a file where that is asked for."""
        if self.images is not None:
            write_image(self.images / images / name / f"{name}_{self.label}_{clock}.png", Image(pixels))
        first = self._shown.setdefault(images, name)
        if name == first:
            self.log.image(clock, f"{images}/{name}", torch.from_numpy(pixels[:256, :256]).permute(2, 0, 1) / 255)

    def _export(self, name: str, clock: int, scores: Scores) -> None:
        metadata = {**self.metadata, "iteration": clock, "scores": scores}
        ema = None if self.ema is None else self.ema.state_dict()
        save_network(self.models / f"net_g_{name}.pth", self.step.student, ema=ema, metadata=metadata)


def _headline(values: dict[str, float]) -> dict[str, float]:
    """The few values that fit beside a progress bar."""
    losses = {name: value for name, value in values.items() if name.startswith("losses/") and name != "losses/total"}
    return dict(list(losses.items())[:3]) or values
