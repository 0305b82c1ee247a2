"""What a phase consists of: the module that trains, and its stages in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..config.build import WeightedLoss, build_losses
from ..config.schema import TrainingRecipe
from ..distributed import World
from ..networks.base import SRNetwork
from ..networks.teacher import PrivilegedTeacher
from .ema import EMA
from .frozen_teacher import FrozenTeacher
from .mutual import MutualStage, MutualStudents
from .networks import seeded
from .stages import PretrainingStage, Stage, TrainingStage
from .student_with_losses import StudentWithLosses
from .task import Task


@dataclass(frozen=True)
class PhasePlan:
    """A phase, ready to run.

    Attributes:
        step: all that trains, and what a saved state holds of it; `step.student` is the phase's result.
        stages: factories, each called when its turn comes. lengths: their iterations.
        losses: of the student. ema: its average, if any.
    """

    step: StudentWithLosses | MutualStudents
    stages: Sequence[Callable[[], Stage]]
    lengths: Sequence[int]
    losses: Sequence[WeightedLoss]
    ema: EMA | None = None

    @property
    def total_iter(self) -> int:
        """Iterations of all stages."""
        return sum(self.lengths)


def plan_phase(
    recipe: TrainingRecipe,
    name: str,
    seed: int,
    student: nn.Module,
    other: nn.Module | None,
    task: Task,
    world: World,
) -> PhasePlan:
    """Put a phase together.

    Args:
        student: the network that the phase trains.
        other: its teacher, or the partner of a mutual phase, if there is one.
    """
    options = recipe.phases[name]
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    with seeded(seed, f"{name} losses"):
        losses = build_losses(recipe, name, student, other)
    step = StudentWithLosses(student, losses, task).to(world.device).to(memory_format=layout)  # type: ignore[call-overload]
    if options.partner is not None and other is not None:
        with seeded(seed, f"{name} partner's losses"):
            reverse = build_losses(recipe, name, other, student, reverse=True)
        partner = StudentWithLosses(other, reverse, task).to(world.device).to(memory_format=layout)  # type: ignore[call-overload]
        mutual = MutualStudents(step, partner)
        length = recipe.length(name)
        return PhasePlan(mutual, [lambda: MutualStage(options, length, mutual, task, world)], [length], losses)
    frozen_teacher = None
    if other is not None:
        # It is never trained here, so it may as well be fast: an image from its tail costs a third.
        fast = other.deploy() if isinstance(other, SRNetwork | PrivilegedTeacher) else other
        fast = fast.to(world.device).to(memory_format=layout)  # type: ignore[call-overload]
        precision = options.teacher_precision or options.precision
        frozen_teacher = FrozenTeacher(fast, step, task, precision, bool(options.compile))
    ema = EMA(step.student, options.ema_decay) if options.ema_decay else None
    stages: list[Callable[[], Stage]] = []
    lengths = []
    for entry in losses:
        objective = entry.loss.pretraining()
        if objective is not None and frozen_teacher is not None:
            stages.append(
                lambda entry=entry, objective=objective: PretrainingStage(  # type: ignore[misc]
                    entry.name, objective, frozen_teacher, task, world
                )
            )
            lengths.append(objective.total_iter)
    total_iter = recipe.length(name)
    stages.append(lambda: TrainingStage(options, total_iter, step, frozen_teacher, task, ema, world))
    return PhasePlan(step, stages, [*lengths, total_iter], losses, ema)
