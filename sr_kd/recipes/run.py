"""Running a recipe: its phases in order, for every seed; finished ones are left alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__
from ..config.phase import Phase
from ..config.schema import TrainingRecipe
from ..distributed import World
from ..errors import SrKdError, UsageError
from ..evaluation.metrics import less_is_better
from ..memory import is_out_of_memory
from ..networks.base import Network
from ..networks.complexity import count_parameters
from ..networks.files import save_network
from ..training.loop import PhaseRun
from ..training.mutual import MutualStudents
from ..training.phase_files import PhaseFiles
from ..training.phase_losses import build_phase_losses
from ..training.plan import plan_phase
from ..training.resume import resume
from ..training.run_log import RunLog, log_to_file
from ..training.running_phase import RunningPhase
from ..training.scalars import FILE as SCALARS
from ..training.step_times import StepTimes
from ..training.stopping import StopRequest
from ..training.task import Scores, Task
from ..training.validation import Validation
from .check import CheckedRecipe
from .environment import describe_environment, written_options
from .graph import phase_order
from .invocation import write_invocation
from .lock import only_run_of
from .record import changes, comparable
from .run_options import RunOptions
from .time_left import STEP_TIMES, recipe_outlook
from .workspace import PARTNER_FILE, Workspace

logger = logging.getLogger("sr_kd")


def run_recipe(
    checked: CheckedRecipe,
    world: World,
    options: RunOptions = RunOptions(),  # noqa: B008 (frozen)
) -> Workspace:
    """Run all that is not finished yet.

    Args:
        checked: what `recipes.check.check_recipe` gave; its networks, losses and sets are used.
        options: which seeds and phases, from where on, who is told.

    Raises:
        UsageError: the recipe changed since the run began, or has no such seed.
        SrKdError: stopped on request, unreadable data, a diverged loss, a device without enough memory,
            another process on this experiment.
    """
    recipe = checked.recipe
    missing = sorted(set(options.seeds) - set(recipe.seeds))
    if missing:
        raise UsageError(f"{recipe.name} has no seed {missing[0]}; its seeds are {', '.join(map(str, recipe.seeds))}")
    workspace = Workspace(recipe)
    runs = [(seed, name) for seed in sorted(set(options.seeds)) or recipe.seeds for name in phase_order(recipe)]
    if options.phases:
        runs = [(seed, name) for seed, name in runs if name in options.phases]
    with only_run_of(workspace.root, options.seeds, options.phases) if world.leads else nullcontext():
        prepare_run(checked, workspace, world, options)
        heard = options if world.leads else replace(options, quiet=True, watch=None)
        _Run(checked, workspace, world, runs, heard).run()
    return workspace


def prepare_run(checked: CheckedRecipe, workspace: Workspace, world: World, options: RunOptions) -> None:
    """Make or archive the run's folder, and write down how it was started. As `run_recipe`."""
    if world.leads:
        workspace.prepare(
            options.resume or options.continue_with,
            shared=bool(options.seeds),
            processes=world.size,
            images=checked.data.listing(),
            continue_with=options.continue_with,
        )
        write_invocation(workspace.root, checked.recipe, options.invocation)


@dataclass(frozen=True)
class _Run:
    """What the phases of a run share; `runs` are (seed, phase) in order."""

    checked: CheckedRecipe
    workspace: Workspace
    world: World
    runs: Sequence[tuple[int, str]]
    options: RunOptions

    def run(self) -> None:
        """Every phase that is not finished."""
        workspace, world = self.workspace, self.world
        world.barrier()
        handler = log_to_file(workspace.log) if world.leads else None
        logger.info("%s", describe_environment(world))
        logger.debug("options:\n%s", written_options(self.checked.recipe))
        try:
            if any(workspace.result(name, seed) is None for seed, name in self.runs):
                self.checked.data.decode_validation(world)
            for seed, name in self.runs:
                label, finished = workspace.run_name(name, seed), workspace.result(name, seed)
                if finished is not None:
                    logger.info("%s is finished already (%d iterations)", label, finished["iterations"])
                    continue
                self._run_phase(name, seed)
                if self.options.watch is not None:
                    self.options.watch()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise SrKdError(
                f"{world.device} is out of memory ({str(error)[:100]}...): lower gt_size, memory_budget, "
                "or batch_size_per_gpu, for which the phase's 'accumulate' can make up"
            ) from None
        finally:
            if handler is not None:
                logger.removeHandler(handler)
                handler.close()

    def _run_phase(self, name: str, seed: int) -> None:
        checked, recipe, workspace, world = self.checked, self.checked.recipe, self.workspace, self.world
        label, states = workspace.run_name(name, seed), workspace.states(name, seed)
        student, teacher = checked.networks.student(name, seed), checked.networks.teacher(name, seed)
        losses = checked.losses.pop(name, None) if seed == recipe.seeds[0] else None
        losses = losses or build_phase_losses(recipe, name, seed, student, teacher)
        networks = [student] if teacher is None else [student, teacher]
        task = checked.data.task(name, seed, networks, world, self.options.quiet)
        plan = plan_phase(recipe, name, student, teacher, losses, task, world)
        record = comparable(recipe, world.size)
        start = resume(plan, states, lambda before: _changed(before, record, name))
        if world.leads:
            _announce(label, start.clock, plan.total_iter, student, recipe.phases[name])
        folder = workspace.tensorboard / label if recipe.logger.use_tb_logger else None
        scalars = states.folder / SCALARS
        with (
            closing(task),
            RunLog(folder, start.clock, scalars) if world.leads else RunLog(None, start.clock) as log,
            StopRequest() as stop,
        ):
            log.text("environment", describe_environment(world))
            log.text("options", written_options(recipe))
            files = PhaseFiles(
                label,
                states,
                workspace.models(name, seed),
                workspace.root / "visualization" if recipe.val.save_img else None,
                {"recipe": recipe.name, "phase": name, "seed": seed, "sr_kd": __version__},
                record,
            )
            phase = RunningPhase(recipe, seed, plan, task, files, log, world)
            validation = Validation(phase, less_is_better(recipe.val.metrics), self.options.watch)
            times = StepTimes(states.folder / STEP_TIMES)
            outlook = recipe_outlook(workspace, self.runs, name, seed, times)
            if text := outlook(start.clock):
                logger.info("%s: %s", label, text)
            scores, skipped = PhaseRun(phase, validation, stop, times, start, outlook).run(self.options.quiet)
            report = task.report(plan.network)
            log.scalars(plan.total_iter, {f"report/{key}": value for key, value in report.items()})
            log.hyperparameters(
                _hyperparameters(recipe, name, seed),
                {f"{each}/{key}": v for each, row in scores.items() for key, v in row.items()},
            )
            result = {
                "iterations": plan.total_iter,
                "pretraining": sum(plan.lengths[:-1]),
                "seconds_per_step": times.median,
                "skipped_steps": skipped,
                "history": list(start.history),
                "scores": scores,
                "report": report,
            }
            if isinstance(plan.step, MutualStudents):
                result["partner"] = self._finish_partner(plan.step.partner.student, task, files, plan.total_iter)
        if world.leads:
            if report:
                logger.info("%s: %s", label, ", ".join(f"{key} {value:.2f} dB" for key, value in report.items()))
            workspace.finish(name, seed, result)
        if stop.requested(world):  # all wait here for the files, too
            raise SrKdError(f"stopped after {label}; continue with --auto_resume")

    def _finish_partner(self, partner: Network, task: Task, files: PhaseFiles, iteration: int) -> Scores:
        self.world.share_buffers(partner.eval())
        scores = task.validate(partner)
        if self.world.leads:
            metadata = {**files.metadata, "partner": True, "iteration": iteration, "scores": scores}
            save_network(files.models / PARTNER_FILE, partner, metadata=metadata)
        return scores


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], phase: str) -> list[str]:
    """What was changed in a phase's own options since a state of it was saved."""
    found = changes(before, now) if before else {}
    return [f"{key}: {text}" for key, text in found.items() if key.startswith(f"phases.{phase}.")]


def _announce(label: str, start: int, total: int, student: Network, phase: Phase) -> None:
    verb = f"continues at iteration {start} of" if start else "begins,"
    logger.info(
        "%s %s %d iterations: %s with %d parameters, losses %s",
        label,
        verb,
        total,
        student.label,
        count_parameters(student),
        ", ".join(map(str, phase.losses)),
    )


def _hyperparameters(recipe: TrainingRecipe, name: str, seed: int) -> dict[str, str | int | float]:
    """What a phase was told, flat: for tables that compare runs."""
    phase = recipe.phases[name]
    return {
        "phase": name,
        "seed": seed,
        "network": recipe.networks[phase.trains].type,
        "total_iter": recipe.length(name),
        "losses": " + ".join(map(str, phase.losses)),
        "optimizer": phase.optim.type,
        "lr": phase.optim.lr,
        "scheduler": phase.scheduler.type,
    }
