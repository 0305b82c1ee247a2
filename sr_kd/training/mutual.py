"""Mutual training: two networks from scratch, each the other's teacher (IE-DML, Huang et al., CVPR 2021)."""

from __future__ import annotations

from torch import nn

from ..config.phase import Phase
from ..distributed import World
from ..networks.base import Network
from .frozen_teacher import FrozenTeacher
from .loop import TrainingStage
from .optimization import Optimizations
from .pretraining import PretrainingStage
from .student_with_losses import StudentWithLosses
from .task import Task


class MutualStudents(nn.Module):
    """Both networks with their losses and adapters.

    Args:
        first: the phase's network, taught by the partner.
        partner: the other way round.
    """

    def __init__(self, first: StudentWithLosses, partner: StudentWithLosses) -> None:
        super().__init__()
        self.first, self.partner = first, partner

    @property
    def student(self) -> Network:
        """The network whose scores and files are the phase's."""
        return self.first.student


class MutualStage:
    """Four updates per iteration, all on one batch, each seeing what the one before has changed:

    1. what the partner's losses need trained (an auto-encoder), on the first network's features;
    2. the partner and its adapters, against the first network and that auto-encoder;
    3. what the first network's losses need trained, on the partner's features;
    4. the first network and its adapters.

    Whoever is not updated is fixed and in eval mode. No code of IE-DML was ever published, and the paper
    names four alternating steps without their order within an iteration: this order is our reading of it.

    Args:
        options: the phase's options, the same for both networks.
        total_iter: its length. step: on the device.
    """

    name = "mutual training"

    def __init__(self, options: Phase, total_iter: int, step: MutualStudents, task: Task, world: World) -> None:
        self.total_iter = total_iter
        first, partner = step.first, step.partner
        self.partner = _Turn(options, total_iter, partner, first.student, task, world)
        self.first = _Turn(options, total_iter, first, partner.student, task, world)
        self.optimization = Optimizations({"partner": self.partner.optimization, "first": self.first.optimization})

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        of_partner = self.partner.update(iteration, measure)
        return self.first.update(iteration, measure) | {f"partner/{key}": value for key, value in of_partner.items()}


class _Turn:
    """Two of the four updates: those that teach one network, the other being fixed."""

    def __init__(
        self, options: Phase, total_iter: int, step: StudentWithLosses, fixed: Network, task: Task, world: World
    ) -> None:
        self.step, self.fixed = step, fixed
        self.step.student.requires_grad_(True)
        frozen_teacher = FrozenTeacher(fixed, step, task, options.precision)
        self.training = TrainingStage(options, total_iter, step, frozen_teacher, task, None, world)
        self.preparing = {
            name: PretrainingStage(name, objective, frozen_teacher, task, world, options.max_skipped_steps)
            for name, loss in step.losses.items()
            if (objective := loss.pretraining()) is not None  # type: ignore[operator]
        }
        preparing = Optimizations({name: stage.optimization for name, stage in self.preparing.items()})
        self.optimization = Optimizations({"training": self.training.optimization, "preparing": preparing})

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        self.fixed.eval().requires_grad_(False)
        self.step.student.requires_grad_(True)
        values: dict[str, float] = {}
        for name, stage in self.preparing.items():
            stage.objective.module.train().requires_grad_(True)
            values |= {f"{key}/{name}": value for key, value in stage.update(iteration, measure).items()}
        self.step.train()  # and freezes what was just prepared
        return self.training.update(iteration, measure) | values
