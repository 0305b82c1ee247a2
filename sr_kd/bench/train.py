"""Training steps: ours, as the trainer runs them, beside plain PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..config.phase import LossOptions, Phase
from ..config.section import Compile
from ..distributed import World
from ..losses.vid import VID
from ..networks.base import Network, SRNetwork
from ..networks.build import build_network
from ..networks.teacher import PrivilegedTeacher
from ..tasks.super_resolution.task import SuperResolution
from ..training.frozen_teacher import FrozenTeacher
from ..training.loop import TrainingStage
from ..training.phase_losses import WeightedLoss, build_loss_from
from ..training.stage import PhaseStage
from ..training.student_with_losses import StudentWithLosses
from .machine import Machine
from .plain import student_step, teacher_step
from .report import SpeedComparison
from .timing import time_in_turn

TAP, IMITATION, VID_WEIGHT = "expanding", 1e-4, 1e-6  # as published
PLAIN = "plain PyTorch"
Step = Callable[[], object]


@dataclass(frozen=True)
class OurStep:
    """One call is one iteration of a stage."""

    stage: PhaseStage
    iterations: Iterator[int]

    def __call__(self) -> None:
        self.stage.update(next(self.iterations), measure=False)


@dataclass(frozen=True)
class OneBatch:
    """A :class:`~sr_kd.data.patches.PatchSource` that always gives the same patches."""

    lr: Tensor
    hr: Tensor

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        return self.lr, self.hr

    def close(self) -> None:
        """Nothing to end here."""


@dataclass(frozen=True)
class TrainingBench:
    """PISR with FSRCNN on one random batch.

    Attributes:
        scale, batch, patch: upscaling, patches per step, side of an LR patch.
        precision, compiled: of our steps, as in a recipe's phase.
    """

    scale: int
    batch: int
    patch: int
    device: torch.device
    precision: str = "fp32"
    compiled: Compile = False

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> list[SpeedComparison]:
        """The teacher's step and the student's."""
        size = f"FSRCNN x{self.scale}, batch {self.batch}, LR patch {self.patch}, {self.precision}"
        return [
            self._comparison(f"Teacher step, {size}", *self.teacher_steps(), machine, repetitions, quiet),
            self._comparison(f"Student step with VID, {size}", *self.student_steps(), machine, repetitions, quiet),
        ]

    def teacher_steps(self) -> tuple[OurStep, Step]:
        """(ours, plain)."""
        patches, teacher, _ = self._parts()
        losses = [self._loss("L1", 1.0, teacher), self._loss("Imitation", IMITATION, teacher)]
        plain = teacher_step(teacher, patches.lr, patches.hr, IMITATION)
        return self._ours(teacher, losses, patches, None), plain

    def student_steps(self) -> tuple[OurStep, Step]:
        """(ours, plain)."""
        patches, teacher, student = self._parts()
        vid = self._loss("VID", VID_WEIGHT, student, teacher)
        if not isinstance(vid.loss, VID):
            raise TypeError("the loss registry gave something else for VID")
        plain = student_step(teacher, student, vid.loss, TAP, patches.lr, patches.hr, VID_WEIGHT)
        return self._ours(student, [self._loss("L1", 1.0, student), vid], patches, teacher), plain

    def _parts(self) -> tuple[OneBatch, PrivilegedTeacher, SRNetwork]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            hr = torch.rand(self.batch, 1, self.patch * self.scale, self.patch * self.scale)
            encoder, decoder = {"type": "Hourglass"}, {"type": "FSRCNN"}
            teacher = build_network(
                "PrivilegedTeacher", scale=self.scale, color="y", encoder=encoder, decoder=decoder, init="bicubic"
            )
            student = build_network("FSRCNN", scale=self.scale, init="bicubic")
        if not isinstance(teacher, PrivilegedTeacher) or not isinstance(student, SRNetwork):
            raise TypeError("the network registry gave something else for PISR's networks")
        patches = OneBatch(nn.functional.avg_pool2d(hr, self.scale).to(self.device), hr.to(self.device))
        return patches, teacher.to(self.device), student.to(self.device)

    def _loss(self, kind: str, weight: float, trained: Network, teacher: Network | None = None) -> WeightedLoss:
        options = LossOptions(type=kind, weight=weight, taps=[TAP] if teacher is not None else [])
        return WeightedLoss(build_loss_from(options, trained, teacher).to(self.device), weight, kind)

    def _ours(
        self, trained: Network, losses: list[WeightedLoss], patches: OneBatch, teacher: Network | None
    ) -> OurStep:
        world = World(0, 1, self.device)
        task = SuperResolution(patches, [], self.scale, [], world)
        options = Phase.model_validate(
            {"trains": "network", "total_iter": 10**9, "precision": self.precision, "compile": self.compiled}
        )
        step = StudentWithLosses(trained, losses, task).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frozen_teacher = None
        if teacher is not None:
            deployed = teacher.deploy().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            frozen_teacher = FrozenTeacher(deployed, step, task, compile=bool(self.compiled))
        stage = TrainingStage(options, 10**9, step, frozen_teacher, task, None, world)
        return OurStep(stage, itertools.count())

    def _comparison(
        self, title: str, ours: Step, plain: Step, machine: Machine, repetitions: int, quiet: bool
    ) -> SpeedComparison:
        # The lower bound is the arithmetic of our step: what the plain one does beyond it is not needed.
        counter = FlopCounterMode(display=False)
        with counter:
            ours()
        steps = {"sr_kd": ours, PLAIN: plain, f"{PLAIN}, memory kept": plain}
        seconds = time_in_turn(steps, repetitions, usual_memory={PLAIN}, device=self.device, quiet=quiet)
        lower_bound = machine.lower_bound(counter.get_total_flops() / 2)
        return SpeedComparison(title, seconds, lower_bound, unit="step")
