"""What a phase consists of: the module that trains, and its stages in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ..config.phase import Phase
from ..config.schema import TrainingRecipe
from ..distributed import World
from ..losses.adversarial import Adversarial
from ..networks.base import Network
from .adversarial import AdversarialStage
from .ema import EMA
from .frozen_teacher import FrozenTeacher
from .loop import TrainingStage
from .mutual import MutualStage, MutualStudents
from .phase_losses import PhaseLosses, needs_teacher
from .pretraining import PretrainingStage
from .stage import PhasePlan, PhaseStage
from .student_with_losses import StudentWithLosses
from .task import Task
from .teacher_cache import FOLDER, TeacherCache

Module = TypeVar("Module", bound=nn.Module)


def plan_phase(
    recipe: TrainingRecipe,
    name: str,
    student: Network,
    other: Network | None,
    losses: PhaseLosses,
    task: Task,
    world: World,
) -> PhasePlan:
    """Put a phase together.

    Args:
        student: the network that the phase trains.
        other: its teacher, or the partner of a mutual phase, if there is one.
        losses: built for these two.
    """
    options = recipe.phases[name]
    step = _placed(StudentWithLosses(student, losses.student, task), options, world)
    if options.partner is not None and other is not None:
        partner = _placed(StudentWithLosses(other, losses.partner, task), options, world)
        mutual = MutualStudents(step, partner)
        length = recipe.length(name)
        return PhasePlan(mutual, [lambda: MutualStage(options, length, mutual, task, world)], [length])
    frozen_teacher = None
    if other is not None and any(map(needs_teacher, options.losses)):
        # It is never trained here, so it may as well be fast: an image from its tail costs a third.
        precision = options.teacher_precision or options.precision
        fast = _placed(other.deploy(), options, world)
        compiled = bool(options.compile)
        cache = None
        if recurs := getattr(task, "recurs", 0):
            asked = (step.teacher_taps, step.needs_teacher_output, precision, compiled, options.channels_last)
            cache = TeacherCache(Path(recipe.path.experiments_root) / FOLDER, recurs, fast, asked)
        frozen_teacher = FrozenTeacher(fast, step, task, precision, compiled, cache)
    ema = EMA(step.student, options.ema_decay) if options.ema_decay else None
    stages: list[Callable[[], PhaseStage]] = []
    lengths = []
    for entry in losses.student:
        objective = entry.loss.pretraining()
        if objective is not None and frozen_teacher is not None:
            stages.append(
                lambda entry=entry, objective=objective: PretrainingStage(  # type: ignore[misc]
                    entry.name, objective, frozen_teacher, task, world, options.max_skipped_steps
                )
            )
            lengths.append(objective.total_iter)
    total_iter = recipe.length(name)
    adversarial = {entry.name: entry.loss for entry in losses.student if isinstance(entry.loss, Adversarial)}

    def train() -> PhaseStage:
        training = TrainingStage(options, total_iter, step, frozen_teacher, task, ema, world)
        return AdversarialStage(training, adversarial) if adversarial else training

    stages.append(train)
    return PhasePlan(step, stages, [*lengths, total_iter], ema, frozen_teacher)


def _placed(module: Module, options: Phase, world: World) -> Module:
    """On the device, in the phase's memory layout.

    Buffers stay contiguous: processes that share them accept nothing else (CARN's mean of four dimensions).
    """
    module = module.to(world.device)
    if options.channels_last:
        module = module.to(memory_format=torch.channels_last)
        for owner in module.modules():
            for name, buffer in owner._buffers.items():
                if buffer is not None:
                    owner._buffers[name] = buffer.clone(memory_format=torch.contiguous_format)
    return module
