"""Before a run: every phase's losses on one batch, without training anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from ..distributed import World
from ..losses.diagnosis import Diagnosis, diagnose
from ..networks.base import Network
from ..training.frozen_teacher import FrozenTeacher
from ..training.student_with_losses import StudentWithLosses
from .check import CheckedRecipe
from .graph import phase_order, teacher_of
from .networks import RecipeNetworks


@dataclass(frozen=True)
class PhaseDiagnosis:
    """One phase's losses on its first batch.

    Attributes:
        phase: its name. task: the loss that the others are compared with, the first.
        state: which weights student and teacher had.
        rows: of every loss but the first.
    """

    phase: str
    task: str
    state: str
    rows: list[Diagnosis]


def diagnose_recipe(checked: CheckedRecipe, world: World) -> Iterator[PhaseDiagnosis]:
    """Measure the losses of every phase that has more than one, for the first seed.

    The student has its first weights. A teacher that is another phase's result is read if that phase is
    finished; otherwise it, too, has its first weights, and the values say less. What a loss has
    pre-trained (FT, IEKD) is untrained here.

    Raises:
        UsageError, SrKdError: as in training.
    """
    for name in phase_order(checked.recipe):
        if len(checked.recipe.phases[name].losses) > 1:
            yield _diagnose_phase(checked, name, world)


def _diagnose_phase(checked: CheckedRecipe, name: str, world: World) -> PhaseDiagnosis:
    seed = checked.recipe.seeds[0]
    student, of_student = _student(checked.networks, name, seed)
    teacher, of_teacher = _teacher(checked.networks, name, seed)
    losses = checked.losses[name].student
    goal, *others = losses
    networks = [student] if teacher is None else [student, teacher]
    with closing(checked.data.task(name, seed, networks, world, quiet=False)) as task:
        step = StudentWithLosses(student, losses, task).to(world.device).train()
        inputs = task.batch(0)
        if teacher is not None:
            inputs = FrozenTeacher(teacher.to(world.device), step, task).shown(inputs)
        inputs = step.shown(inputs)
        rows = diagnose(goal.loss, {entry.name: entry.loss for entry in others}, inputs, list(student.parameters()))
    return PhaseDiagnosis(name, goal.name, "; ".join(filter(None, (of_student, of_teacher))), rows)


def _student(networks: RecipeNetworks, phase: str, seed: int) -> tuple[Network, str]:
    options = networks.recipe.phases[phase]
    if options.init is None:
        return networks.new(options.trains, seed), ""
    if networks.workspace.result(options.init.source, seed) is not None:
        return networks.student(phase, seed), f"student from the finished {options.init.source}"
    text = f"student not yet from {options.init.source}, which is not finished"
    return networks.new(options.trains, seed), text


def _teacher(networks: RecipeNetworks, phase: str, seed: int) -> tuple[Network | None, str]:
    source = teacher_of(networks.recipe, phase)
    if source is not None and source.phase is not None and networks.workspace.result(source.phase, seed) is None:
        text = f"teacher with first weights: {source.phase} is not finished"
        return networks.new(source.network, seed), text
    teacher = networks.teacher(phase, seed)
    if source is None:
        return teacher, "" if teacher is None else "partner with its first weights"
    trained = f"from the finished {source.phase}" if source.phase else f"{source.network} with its trained weights"
    return teacher, f"teacher {trained}"
