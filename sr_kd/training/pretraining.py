"""What a loss needs trained before the student (a paraphraser, an auto-encoder), on the teacher's features."""

from __future__ import annotations

from dataclasses import replace

from ..config.phase import Optimizer
from ..distributed import World
from ..errors import SrKdError
from ..losses.base import PretrainingObjective
from .frozen_teacher import FrozenTeacher
from .optimization import Optimization
from .optimizer import build_optimizer
from .task import Task


class PretrainingStage:
    """Trains one loss' objective.

    Args:
        name: of the loss. most_skipped: steps that may be left out in a row.
    """

    def __init__(
        self,
        name: str,
        objective: PretrainingObjective,
        teacher: FrozenTeacher,
        task: Task,
        world: World,
        most_skipped: int,
    ) -> None:
        self.name = f"pretraining {name}"
        self.total_iter = objective.total_iter
        self.objective, self.teacher, self.task, self.world = objective, teacher, task, world
        objective.module.train().requires_grad_(True)
        options = Optimizer(type="Adam", lr=objective.learning_rate)
        optimizer = build_optimizer(options, [{"params": list(objective.module.parameters())}])
        self.optimization = Optimization(optimizer, world.device, most=most_skipped)

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        inputs = self.teacher.shown(replace(self.task.batch(iteration), iteration=iteration))
        loss = self.objective.loss(inputs)
        self.optimization.begin()
        self.optimization.backward(loss)
        self.world.mean_gradients(self.objective.module)
        self.optimization.step(iteration)
        if self.optimization.is_stuck(measure):
            raise SrKdError(
                f"{self.name}: the gradient was NaN or Inf {self.optimization.most} times in a row, last at iteration "
                f"{self.optimization.last_skipped} (reconstruction = {float(loss.detach()):g}, batch {iteration}): "
                "lower pretrain_lr"
            )
        return {"losses/reconstruction": float(loss.detach())} if measure else {}
