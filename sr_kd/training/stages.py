"""The stages of a phase: pre-training of adapters that need it, then the distillation itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..config.phase import Optimizer, Phase
from ..distributed import World
from ..errors import SrKdError
from ..losses.base import LossInputs, NetworkOutput, PretrainingObjective
from .ema import EMA
from .frozen_teacher import FrozenTeacher, autocast, compiled
from .gradient_ratio import GradientRatios
from .optimizer import build_optimizer, parameter_groups, set_learning_rate
from .schedule import learning_rate
from .student_with_losses import StudentWithLosses, flat_gradient, gradient_norms
from .task import Task


class Stage(Protocol):
    """What the loop drives: iterations from 0 to `total_iter`, each one call of `update`."""

    name: str
    total_iter: int

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        """One iteration; values worth logging if `measure`, otherwise nothing is read back."""

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and scaler; the modules' weights belong to the phase."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


class PretrainingStage:
    """Trains what a loss needs trained beforehand (a paraphraser, an auto-encoder) on the teacher's features."""

    def __init__(
        self, name: str, objective: PretrainingObjective, frozen_teacher: FrozenTeacher, task: Task, world: World
    ) -> None:
        self.name = f"pretraining {name}"
        self.total_iter = objective.total_iter
        self.objective, self.frozen_teacher, self.task, self.world = objective, frozen_teacher, task, world
        objective.module.train().requires_grad_(True)
        options = Optimizer(type="Adam", lr=objective.learning_rate)
        self.optimizer = build_optimizer(options, [{"params": list(objective.module.parameters())}])

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        batch = self.task.batch(iteration)
        teacher_output = self.frozen_teacher.output(batch)
        inputs = LossInputs(
            batch.lr, batch.hr, NetworkOutput(None), teacher_output.view, teacher_output.tail, batch.labels, iteration
        )
        loss = self.objective.loss(inputs)
        if measure and not torch.isfinite(loss.detach()):
            raise SrKdError(
                f"{self.name}: the reconstruction loss is no longer finite: lower pretrain_lr; "
                "a state that was saved before stays intact"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for parameter in self.objective.module.parameters():
            if self.world.size > 1 and parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.world.size
        self.optimizer.step()
        return {"losses/reconstruction": float(loss.detach())} if measure else {}

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])


class TrainingStage:
    """Trains the student (or the teacher, in its own phase) and the losses' adapters.

    Args:
        options: the phase's options. total_iter: its length as a number.
        step: student and losses, on the device. frozen_teacher: the frozen teacher, if any.
        ema: updated after every iteration, if any.
    """

    def __init__(
        self,
        options: Phase,
        total_iter: int,
        step: StudentWithLosses,
        frozen_teacher: FrozenTeacher | None,
        task: Task,
        ema: EMA | None,
        world: World,
    ) -> None:
        self.name, self.total_iter = "training", total_iter
        self.options, self.step, self.frozen_teacher, self.task, self.ema, self.world = (
            options,
            step,
            frozen_teacher,
            task,
            ema,
            world,
        )
        step.train()  # also freezes what a pre-training has thawed
        self.optimizer = build_optimizer(options.optim, parameter_groups(step, options.optim))
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=options.precision == "fp16")
        self.parallel = None
        if world.size > 1:
            devices = [world.device] if world.device.type == "cuda" else None
            unused = step.compares_features_only
            self.parallel = DistributedDataParallel(step, device_ids=devices, find_unused_parameters=unused)
        forward = step if self.parallel is None else self.parallel
        # What is measured goes back through the graph once per term, which compiled code does not allow.
        self.measured: Any = forward
        self.forward: Any = compiled(forward, options.compile)

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        rate = learning_rate(
            self.options.optim.lr, self.options.scheduler, iteration, self.total_iter, self.options.warmup_iter
        )
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.options.accumulate
        following = self.step.gradient_ratios if GradientRatios.due(iteration) else None
        values: dict[str, float] = {}
        for part in range(parts):
            batch = self.task.batch(iteration * parts + part)
            last = part == parts - 1
            with self._synchronizing(last):
                with autocast(self.world.device, self.options.precision):
                    teacher_output = None if self.frozen_teacher is None else self.frozen_teacher.output(batch)
                    looked_at = (measure and last) or (following is not None and part == 0)
                    forward = self.measured if looked_at else self.forward
                    terms = forward(batch, teacher_output, iteration)
                if following is not None and part == 0:
                    self._follow_gradient_ratios(following, terms)
                weighted = self.step.weighted(terms)
                total = torch.stack(list(weighted.values())).sum()
                if measure and last:
                    values = self._measure(rate, terms, weighted, total)
                self.scaler.scale(total / parts).backward()
        self.scaler.unscale_(self.optimizer)
        if self.options.gradient_clip:
            trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            norm = nn.utils.clip_grad_norm_(trained, self.options.gradient_clip)
            if measure:
                values["gradient/norm_before_clip"] = float(norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update(self.step.student, iteration)
        return values

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def _synchronizing(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are averaged over the processes once per iteration, with its last part."""
        return nullcontext() if last or self.parallel is None else self.parallel.no_sync()

    def _follow_gradient_ratios(self, gradient_ratios: GradientRatios, terms: Mapping[str, Tensor]) -> None:
        """Measure the gradients, means over all processes; with `accumulate`, on its first batch."""
        weighted = self.step.weighted(terms)
        goal = next(iter(terms)).partition("/")[0]
        first = torch.stack([value for key, value in weighted.items() if key.partition("/")[0] == goal]).sum()
        norms = [self._norm(first)]
        if norms[0] == 0:
            raise SrKdError(f"loss {goal} has no gradient at the student, so no gradient_ratio can be kept")
        for key in gradient_ratios.targets:
            # At its present size: half precision may not hold it at weight 1.
            size = float(gradient_ratios.weight(key)) or 1.0
            norms.append(self._norm(size * terms[key]) / size if key in terms else 0.0)
        gradient_ratios.follow(torch.tensor(norms, dtype=torch.float64))

    def _norm(self, value: Tensor) -> float:
        return float(torch.linalg.vector_norm(self.world.mean(flat_gradient(self.step, self.scaler.scale(value)))))

    def _measure(
        self, rate: float, terms: Mapping[str, Tensor], weighted: Mapping[str, Tensor], total: Tensor
    ) -> dict[str, float]:
        """Everything that is logged of an iteration.

        Raises:
            SrKdError: the loss is not finite; the last saved state is the one to go back to.
        """
        if not torch.isfinite(total.detach()):
            found = ", ".join(f"{key} = {float(value.detach()):g}" for key, value in terms.items())
            raise SrKdError(
                f"the loss is no longer finite ({found}): lower the learning rate or the weight of the term "
                "that left first, or set gradient_clip; a state that was saved before stays intact"
            )
        values = {"learning_rate": rate, "losses/total": float(total.detach())}
        values |= {f"losses/{key}": float(value.detach()) for key, value in terms.items()}
        values |= {f"weighted/{key}": float(value.detach()) for key, value in weighted.items()}
        if len(weighted) > 1:
            # As large as the scaler makes them: without it, half precision would lose the small ones here alone.
            norms = gradient_norms(self.step, {key: self.scaler.scale(value) for key, value in weighted.items()})
            first = next(iter(norms.values()), 0.0) or 1.0
            values |= {f"gradient_ratio/{key}": norm / first for key, norm in norms.items()}
        followed = self.step.gradient_ratios.targets if self.step.gradient_ratios is not None else ()
        values |= {f"weight/{key}": float(self.step.weight(key)) for key in followed}
        return values | {f"diagnostics/{key}": float(value) for key, value in self.step.diagnostics().items()}
