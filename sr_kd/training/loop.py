"""The training loop: the way of a batch from the sampler to the optimizer, and what happens between two of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..config.phase import Phase
from ..distributed import World
from ..errors import SrKdError
from ..losses.base import LossInputs
from ..progress import progress_bar
from .ema import EMA
from .frozen_teacher import FrozenTeacher, autocast, compiled
from .gradient_ratio import GradientRatios
from .measure import follow_gradient_ratios, measured, not_finite
from .optimization import Optimization
from .optimizer import build_optimizer, parameter_groups
from .resume import Start
from .running_phase import RunningPhase
from .schedule import learning_rate
from .seeding import seeded
from .stage import PhaseStage
from .step_times import StepTimes
from .stopping import StopRequest
from .student_with_losses import StudentWithLosses
from .task import Scores, Task
from .validation import Validation

logger = logging.getLogger("sr_kd")


@dataclass
class PhaseRun:
    """One phase of one seed: drives its stages, saves, validates, logs, and can stop and continue anywhere.

    Attributes:
        times: of the last stage's iterations.
        start: where the phase goes on.
        outlook: from the finished iterations to a note beside the progress bar.
    """

    phase: RunningPhase
    validation: Validation
    stop: StopRequest
    times: StepTimes
    start: Start
    outlook: Callable[[int], str]

    def run(self, quiet: bool = False) -> tuple[Scores, int]:
        """Run to the end; returns the last validation, and how many steps were skipped.

        Raises:
            SrKdError: stopped on request (the state is saved), or weights or gradients that became NaN or Inf.
        """
        plan = self.phase.plan
        self.validation.load_best(self.start.best)
        skipped, iteration = self.start.skipped, self.start.iteration
        for index in range(self.start.index, len(plan.stages)):
            stage = self.start.stage if index == self.start.index else None
            stage = stage or plan.stages[index]()
            self._run_stage(index, stage, iteration, skipped, quiet)
            skipped, iteration = skipped + stage.optimization.skipped, 0
        return self.validation.run(plan.total_iter, final=True), skipped

    def _run_stage(self, index: int, stage: PhaseStage, start: int, skipped: int, quiet: bool) -> None:
        recipe, plan, world, label = self.phase.recipe, self.phase.plan, self.phase.world, self.phase.files.label
        is_last = index == len(plan.stages) - 1
        title = label if is_last else f"{label}: {stage.name}"
        # Pre-training counts, so that every state of a phase has its own number.
        offset = sum(plan.lengths[:index])
        often, validate_every = recipe.logger, recipe.val.val_freq
        with progress_bar(stage.total_iter, title, quiet=quiet or not world.leads, initial=start) as bar:
            for iteration in range(start, stage.total_iter):
                # After the state of the iteration before was saved: who resumes from it validates, too.
                if is_last and iteration and iteration % validate_every == 0:
                    self.validation.run(offset + iteration)
                done = iteration + 1
                clock = offset + done
                saving = done % often.save_checkpoint_freq == 0 or done == stage.total_iter
                measure = saving or done % often.print_freq == 0 or done == 1
                with (
                    seeded(self.phase.seed, f"{label}/{clock}/{world.rank}"),
                    self.times.iteration(world.device, measure) if is_last else nullcontext(),
                ):
                    values = stage.update(iteration, measure)
                bar.update()
                if values:
                    bar.set_postfix_str(self._record(clock, values, skipped + stage.optimization.skipped))
                # Several processes agree on it, which costs a synchronization: not at every iteration.
                stopping = (world.size == 1 or done % often.print_freq == 0) and self.stop.requested(world)
                if saving or stopping:
                    self._save(index, done, stage, clock, skipped)
                    if is_last and done < stage.total_iter and done % validate_every:
                        self.validation.export_unmeasured(clock)
                if stopping:
                    raise SrKdError(f"stopped at iteration {done} of {title}; continue with --auto_resume")

    def _record(self, clock: int, values: dict[str, float], skipped: int) -> str:
        """To the log; returns the few values that fit beside a progress bar."""
        if skipped:
            values = {**values, "skipped_steps": skipped}
        self.phase.log.scalars(clock, values)
        if self.phase.world.leads:
            everything = " ".join(f"{name}={value:.6g}" for name, value in values.items())
            logger.debug("%s iteration %d: %s", self.phase.files.label, clock, everything)
        losses = [name for name in values if name.startswith("losses/") and name != "losses/total"][:3]
        shown = [f"{name.removeprefix('losses/')} {values[name]:.4g}" for name in losses or values]
        return ", ".join(filter(None, [*shown, self.outlook(clock)]))

    def _save(self, index: int, done: int, stage: PhaseStage, clock: int, skipped: int) -> None:
        plan, files = self.phase.plan, self.phase.files
        self.phase.log.flush()  # the run will not come back to these iterations
        if self.phase.world.leads:
            state = {
                "stage": index,
                "iteration": done,
                "step": plan.step.state_dict(),
                "ema": None if plan.ema is None else plan.ema.state_dict(),
                "optimization": stage.optimization.state_dict(),
                "best": self.validation.best,
                "skipped": skipped,
                "lengths": list(plan.lengths),
                "history": list(self.start.history),
                "record": files.record,
            }
            files.states.save(clock, state)
            self.times.save()
        self.phase.world.barrier()


class TrainingStage:
    """Trains the student (or the teacher, in its own phase) and the losses' adapters.

    Args:
        options: the phase's options. total_iter: its length as a number.
        step: student and losses, on the device. teacher: the frozen teacher, if any.
        ema: updated after every iteration, if any.
    """

    name = "training"

    def __init__(
        self,
        options: Phase,
        total_iter: int,
        step: StudentWithLosses,
        teacher: FrozenTeacher | None,
        task: Task,
        ema: EMA | None,
        world: World,
    ) -> None:
        self.options, self.total_iter, self.step, self.teacher = options, total_iter, step, teacher
        self.task, self.ema, self.world = task, ema, world
        step.train()  # also freezes what a pre-training has thawed
        self.optimization = Optimization(
            build_optimizer(options.optim, parameter_groups(step, options.optim)),
            world.device,
            clip=options.gradient_clip,
            half=options.precision == "fp16",
            most=options.max_skipped_steps,
        )
        self.parallel = world.parallel(step, options.find_unused_parameters or step.compares_features_only)
        # What is measured goes back through the graph once per term, which compiled code does not allow.
        self.forward: Any = compiled(self.parallel, options.compile)

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        """One iteration: every part of its batch from the sampler to the losses, then the optimizer."""
        options, optimization, parts = self.options, self.optimization, self.options.accumulate
        rate = learning_rate(options.optim.lr, options.scheduler, iteration, self.total_iter, options.warmup_iter)
        optimization.begin(rate)
        values: list[dict[str, float]] = []
        for part in range(parts):
            inputs = replace(self.task.batch(iteration * parts + part), iteration=iteration)
            follow = part == 0 and self.step.gradient_ratios is not None and GradientRatios.due(iteration)
            with self.world.synchronizing(self.parallel, part == parts - 1):
                with autocast(self.world.device, options.precision):
                    if self.teacher is not None:
                        inputs = self.teacher.shown(inputs)
                    terms = (self.parallel if measure or follow else self.forward)(inputs)
                if follow:
                    follow_gradient_ratios(self.step, terms, optimization.scaler.scale, self.world)
                weighted = self.step.weighted(terms)
                if measure:
                    values.append(measured(self.step, terms, weighted, optimization.scaler.scale))
                optimization.backward(torch.stack(list(weighted.values())).sum() / parts)
        if iteration == 0:
            self.world.check_gradients(self.parallel)
        norm = optimization.step(iteration)
        if optimization.is_stuck(measure):
            raise SrKdError(self._reason(optimization.last_skipped, rate))
        if self.ema is not None:
            self.ema.update(self.step.student, iteration)
        return {"learning_rate": rate, **_mean(values), "gradient/norm": float(norm)} if measure else {}

    def _reason(self, iteration: int, rate: float) -> str:
        """Why no step was made any more: the last one's batch is looked at again."""
        batches = [iteration * self.options.accumulate + part for part in range(self.options.accumulate)]
        terms: list[str] = []
        for index in batches:
            inputs: LossInputs = replace(self.task.batch(index), iteration=iteration)
            if self.teacher is not None:
                inputs = self.teacher.shown(inputs)
            terms += not_finite(self.step, self.step.weighted(self.step(inputs)))
        found = ", ".join(dict.fromkeys(terms)) or "all terms are finite by themselves in full precision"
        shown = f"batch {batches[0]}" if len(batches) == 1 else f"batches {batches[0]} to {batches[-1]}"
        return (
            f"the gradient was NaN or Inf {self.optimization.most} times in a row, last at iteration {iteration} "
            f"({found}; learning rate {rate:g}, {shown}): lower the learning rate or the weight of that term, or set "
            "gradient_clip; --auto_resume with --continue_with goes on from the last saved state (where that ends "
            "alike, its weights are too large already: remove that .state file to go on from the one before)"
        )


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of the parts of an iteration."""
    return {key: sum(each.get(key, 0.0) for each in values) / len(values) for key in values[0]}
