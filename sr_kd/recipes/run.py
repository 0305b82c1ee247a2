"""Running a recipe: its phases in order, for every seed; finished ones are left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

from .. import __version__
from ..config.phase import LossOptions
from ..config.schema import TrainingRecipe
from ..distributed import World
from ..errors import SrKdError, UsageError
from ..evaluation.metrics import less_is_better
from ..memory import is_out_of_memory
from ..networks.base import Network
from ..networks.files import save_network
from ..training.loop import PhaseRun
from ..training.mutual import MutualStudents
from ..training.phase_files import PhaseFiles
from ..training.phase_losses import WeightedLoss, build_phase_losses
from ..training.plan import plan_phase
from ..training.resume import resume
from ..training.run_log import RunLog, log_to_file
from ..training.scalars import FILE as SCALARS
from ..training.step_times import StepTimes
from ..training.stopping import StopRequest
from ..training.validation import Validation
from .check import CheckedRecipe
from .environment import describe_environment, written_options
from .graph import phase_order
from .invocation import Invocation, write_invocation
from .lock import only_run_of
from .networks import first_network, other_network
from .record import changes, comparable
from .time_left import STEP_TIMES, recipe_outlook
from .workspace import PARTNER_FILE, Workspace

logger = logging.getLogger("sr_kd")


def run_recipe(
    checked: CheckedRecipe,
    world: World,
    *,
    seeds: Sequence[int] = (),
    phases: Sequence[str] = (),
    resume: bool = False,
    continue_with: bool = False,
    quiet: bool = False,
    invocation: Invocation | None = None,
    watch: Callable[[], None] | None = None,
) -> Workspace:
    """Run all that is not finished yet.

    Args:
        checked: what `recipes.check.check_recipe` gave; its networks, losses and sets are used.
        seeds: only these of the recipe's, beside other processes that run the others; always resumes.
        phases: only these; what they need is finished.
        resume: continue an existing run of the same recipe; otherwise it is archived under a new name.
        continue_with: of a recipe whose phases have other options than before; they hold from the last states on.
        invocation: how the run was started, for its record.
        watch: called after every validation and every phase, where results are written.

    Raises:
        UsageError: the recipe changed since the run began, or has no such seed.
        SrKdError: stopped on request, unreadable data, a diverged loss, a device without enough memory,
            another process on this experiment.
    """
    recipe = checked.recipe
    missing = sorted(set(seeds) - set(recipe.seeds))
    if missing:
        raise UsageError(f"{recipe.name} has no seed {missing[0]}; its seeds are {', '.join(map(str, recipe.seeds))}")
    workspace = Workspace(recipe)
    runs = [(seed, name) for seed in sorted(set(seeds)) or recipe.seeds for name in phase_order(recipe)]
    if phases:
        runs = [(seed, name) for seed, name in runs if name in phases]
    with only_run_of(workspace.root, seeds, phases) if world.leads else nullcontext():
        prepare_run(checked, workspace, world, resume, continue_with, invocation, shared=bool(seeds))
        _run(checked, runs, workspace, world, quiet or not world.leads, watch if world.leads else None)
    return workspace


def prepare_run(
    checked: CheckedRecipe,
    workspace: Workspace,
    world: World,
    resume: bool,
    continue_with: bool,
    invocation: Invocation | None,
    shared: bool = False,
) -> None:
    """Make or archive the run's folder, and write down how it was started. As `run_recipe`."""
    if world.leads:
        workspace.prepare(
            resume, shared=shared, processes=world.size, images=checked.data.listing(), continue_with=continue_with
        )
        write_invocation(workspace.root, checked.recipe, invocation or Invocation())


def _run(
    checked: CheckedRecipe,
    runs: Sequence[tuple[int, str]],
    workspace: Workspace,
    world: World,
    quiet: bool,
    watch: Callable[[], None] | None,
) -> None:
    world.barrier()
    handler = log_to_file(workspace.log) if world.leads else None
    logger.info("%s", describe_environment(world))
    logger.debug("options:\n%s", written_options(checked.recipe))
    try:
        if any(workspace.result(name, seed) is None for seed, name in runs):
            checked.data.decode_validation(world)
        for seed, name in runs:
            finished = workspace.result(name, seed)
            if finished is not None:
                logger.info(
                    "%s is finished already (%d iterations)", workspace.run_name(name, seed), finished["iterations"]
                )
                continue
            _run_phase(checked, name, seed, runs, workspace, world, quiet, watch)
            if watch is not None:
                watch()
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


def _run_phase(
    checked: CheckedRecipe,
    name: str,
    seed: int,
    runs: Sequence[tuple[int, str]],
    workspace: Workspace,
    world: World,
    quiet: bool,
    watch: Callable[[], None] | None,
) -> None:
    recipe = checked.recipe
    states = workspace.states(name, seed)
    student = first_network(checked.networks, name, seed, workspace)
    other = other_network(checked.networks, name, seed, workspace)
    losses = checked.losses.pop(name, None) if seed == recipe.seeds[0] else None
    losses = losses or build_phase_losses(recipe, name, seed, student, other)
    task = checked.data.task(name, seed, [student] if other is None else [student, other], world, quiet)
    plan = plan_phase(recipe, name, student, other, losses, task, world)
    record = comparable(recipe, world.size)
    start = resume(plan, states, lambda before: _changed(before, record, name))
    if world.leads:
        _announce(workspace.run_name(name, seed), start.clock, plan.total_iter, student, plan.losses)
    folder = workspace.tensorboard / workspace.run_name(name, seed) if recipe.logger.use_tb_logger else None
    scalars = states.folder / SCALARS
    with (
        closing(task),
        RunLog(folder, start.clock, scalars) if world.leads else RunLog(None, start.clock) as log,
        StopRequest() as stop,
    ):
        log.text("environment", describe_environment(world))
        log.text("options", written_options(recipe))
        files = PhaseFiles(
            workspace.run_name(name, seed),
            states,
            workspace.models(name, seed),
            workspace.root / "visualization" if recipe.val.save_img else None,
            {"recipe": recipe.name, "phase": name, "seed": seed, "sr_kd": __version__},
            record,
        )
        minimized = less_is_better(recipe.val.metrics)
        validation = Validation(plan, task, files, log, world, recipe.val.metrics[0], minimized, watch)
        times = StepTimes(states.folder / STEP_TIMES)
        outlook = recipe_outlook(workspace, runs, name, seed, times)
        if text := outlook(start.clock):
            logger.info("%s: %s", files.label, text)
        run = PhaseRun(recipe, seed, plan, validation, files, log, world, stop, times, start, outlook)
        scores, skipped = run.run(quiet)
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
            partner = plan.step.partner.student.eval()
            world.share_buffers(partner)
            result["partner"] = partner_scores = task.validate(partner)
            if world.leads:
                metadata = {**files.metadata, "partner": True, "iteration": plan.total_iter, "scores": partner_scores}
                save_network(files.models / PARTNER_FILE, partner, metadata=metadata)
    if world.leads:
        if report:
            logger.info("%s: %s", files.label, ", ".join(f"{key} {value:.2f} dB" for key, value in report.items()))
        workspace.finish(name, seed, result)
    if stop.requested(world):  # all wait here for the files, too
        raise SrKdError(f"stopped after {files.label}; continue with --auto_resume")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], phase: str) -> list[str]:
    """What was changed in a phase's own options since a state of it was saved."""
    found = changes(before, now) if before else {}
    return [f"{key}: {text}" for key, text in found.items() if key.startswith(f"phases.{phase}.")]


def _announce(label: str, start: int, total: int, student: Network, losses: Sequence[WeightedLoss]) -> None:
    parameters = sum(parameter.numel() for parameter in student.parameters())
    terms = ", ".join(_weighted(entry) for entry in losses)
    verb = f"continues at iteration {start} of" if start else "begins,"
    logger.info(
        "%s %s %d iterations: %s with %d parameters, losses %s", label, verb, total, student.label, parameters, terms
    )


def _weighted(entry: WeightedLoss) -> str:
    if entry.gradient_ratio is not None:
        return f"{entry.name} with a gradient_ratio of {entry.gradient_ratio:g}"
    return f"{entry.name} x {json.dumps(entry.weight)}"


def _hyperparameters(recipe: TrainingRecipe, name: str, seed: int) -> dict[str, str | int | float]:
    """What a phase was told, flat: for tables that compare runs."""
    phase = recipe.phases[name]
    losses = " + ".join(f"{_weight_of(options)} {options.type}" for options in phase.losses)
    optim = phase.optim
    return {
        "phase": name,
        "seed": seed,
        "network": recipe.networks[phase.trains].type,
        "total_iter": recipe.length(name),
        "losses": losses,
        "optimizer": optim.type,
        "lr": optim.lr,
        "scheduler": phase.scheduler.type,
    }


def _weight_of(options: LossOptions) -> str:
    return f"ratio {options.gradient_ratio:g}" if options.gradient_ratio else json.dumps(options.weight)
