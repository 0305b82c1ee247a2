"""Running a recipe: its phases in order, for every seed; finished ones are left alone."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..archs.base import SRNetwork
from ..archs.files import load_network
from ..archs.teacher import PrivilegedTeacher
from ..config.build import WeightedLoss, build_losses, build_network_from, build_phase_network, load_trained
from ..config.graph import phase_order, teacher_of
from ..config.schema import Phase, Recipe
from .distributed import World
from .ema import EMA
from .open_task import TaskOpener
from .phase import PhaseRun
from .run_log import RunLog, log_to_file
from .stages import DistillationStage, PretrainingStage, Stage, Teaching
from .step import DistillationStep
from .stopping import StopRequest
from .workspace import Workspace

logger = logging.getLogger("sr_kd")


def run_recipe(recipe: Recipe, world: World, *, resume: bool = False, quiet: bool = False) -> Workspace:
    """Run all that is not finished yet.

    Args:
        recipe: checked by `config.check_recipe`.
        resume: continue an existing run of the same recipe; otherwise it is archived under a new name.

    Raises:
        UsageError: the recipe changed since the run began.
        SrKdError: stopped on request, unreadable data, a diverged loss.
    """
    workspace = Workspace(recipe)
    if world.leads:
        workspace.prepare(resume)
    world.barrier()
    handler = log_to_file(workspace.log) if world.leads else None
    opener = TaskOpener(recipe, world, quiet or not world.leads)
    try:
        for seed in recipe.seeds:
            for name in phase_order(recipe):
                finished = workspace.result(name, seed)
                if finished is not None:
                    logger.info(
                        "%s is finished already (%d iterations)", workspace.run_name(name, seed), finished["iterations"]
                    )
                    continue
                _run_phase(recipe, name, seed, workspace, world, opener, quiet)
    finally:
        if handler is not None:
            logger.removeHandler(handler)
            handler.close()
    return workspace


def finished_network(workspace: Workspace, phase: str, seed: int) -> nn.Module:
    """The result of a finished phase (its averaged weights where there are any)."""
    return load_network(workspace.models(phase, seed) / "net_g_latest.pth").network


def _run_phase(
    recipe: Recipe, name: str, seed: int, workspace: Workspace, world: World, opener: TaskOpener, quiet: bool
) -> None:
    options = recipe.phases[name]
    states = workspace.states(name, seed)
    saved = states.load_latest()
    student = _student(recipe, name, seed, workspace)
    teacher = _teacher(recipe, name, seed, workspace)
    with _seeded(seed, f"{name} losses"):
        losses = build_losses(recipe, name, student, teacher)
    networks = [student] if teacher is None else [student, teacher]
    task = opener.open(name, seed, networks)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    step = DistillationStep(student, losses, task).to(world.device).to(memory_format=layout)  # type: ignore[call-overload]
    teaching = None
    if teacher is not None:
        teaching = Teaching(teacher.to(world.device).to(memory_format=layout), step, task)  # type: ignore[call-overload]
    ema = EMA(step.student, options.ema_decay) if options.ema_decay else None
    stages, lengths = _stages(options, recipe.length(name), step, losses, teaching, task, ema, world)
    start = 0 if saved is None else saved[0]
    if world.leads:
        _announce(workspace.run_name(name, seed), start, sum(lengths), student, losses)
    folder = workspace.tensorboard / workspace.run_name(name, seed)
    with (
        closing(task),
        RunLog(folder if world.leads and recipe.logger.use_tb_logger else None, start) as log,
        StopRequest() as stop,
    ):
        run = PhaseRun(
            label=workspace.run_name(name, seed),
            step=step,
            stages=stages,
            lengths=lengths,
            ema=ema,
            task=task,
            states=states,
            models=workspace.models(name, seed),
            log=log,
            world=world,
            stop=stop,
            print_every=recipe.logger.print_freq,
            save_every=recipe.logger.save_checkpoint_freq,
            validate_every=recipe.val.val_freq,
            metadata={"recipe": recipe.name, "phase": name, "seed": seed, "sr_kd": __version__},
            pictures=workspace.root / "visualization" if recipe.val.save_img else None,
            select_by=recipe.val.metrics[0],
            quiet=quiet,
        )
        scores = run.run(None if saved is None else saved[1])
        report = task.report(run.network)
        log.scalars(sum(lengths), {f"report/{key}": value for key, value in report.items()})
    if world.leads:
        if report:
            logger.info("%s: %s", run.label, ", ".join(f"{key} {value:.2f} dB" for key, value in report.items()))
        workspace.finish(name, seed, {"iterations": sum(lengths), "scores": scores, "report": report})
    world.barrier()


def _student(recipe: Recipe, phase: str, seed: int, workspace: Workspace) -> nn.Module:
    """The network to train: the same first weights in every arm of one seed."""
    options = recipe.phases[phase]
    with _seeded(seed, options.trains):
        student = build_phase_network(recipe, phase)
    load_trained(student, recipe.networks[options.trains])
    if isinstance(student, SRNetwork):
        student = student.for_scale(recipe.scale)
    if options.init is not None:
        source = finished_network(workspace, options.init.source, seed)
        part = source if options.init.part is None else getattr(source, options.init.part)
        student.load_state_dict(part.state_dict())
        logger.info("%s starts from the %s of %s", phase, options.init.part or "weights", options.init.source)
    return student


def _teacher(recipe: Recipe, name: str, seed: int, workspace: Workspace) -> nn.Module | None:
    """The frozen teacher of a phase: another phase's result, or a network with trained weights."""
    source = teacher_of(recipe, name)
    if source is None:
        return None
    if source.phase is not None:
        return finished_network(workspace, source.phase, seed)
    options = recipe.networks[source.network]
    teacher = build_network_from(options, recipe.scale)
    load_trained(teacher, options)
    return teacher


def _stages(
    options: Phase,
    total_iter: int,
    step: DistillationStep,
    losses: list[WeightedLoss],
    teaching: Teaching | None,
    task: Any,
    ema: EMA | None,
    world: World,
) -> tuple[list[Callable[[], Stage]], list[int]]:
    """Factories of the stages, each called when its turn comes, and their lengths."""
    stages: list[Callable[[], Stage]] = []
    lengths = []
    for entry in losses:
        objective = entry.loss.pretraining()
        if objective is not None and teaching is not None:
            stages.append(
                lambda entry=entry, objective=objective: PretrainingStage(  # type: ignore[misc]
                    entry.name, objective, teaching, task, world
                )
            )
            lengths.append(objective.total_iter)

    def distillation() -> Stage:
        return DistillationStage(options, total_iter, step, teaching, task, ema, world)

    return [*stages, distillation], [*lengths, total_iter]


def _announce(label: str, start: int, total: int, student: nn.Module, losses: list[WeightedLoss]) -> None:
    parameters = sum(parameter.numel() for parameter in student.parameters())
    terms = ", ".join(f"{entry.name} x {json.dumps(entry.weight)}" for entry in losses)
    verb = f"continues at iteration {start} of" if start else "begins,"
    logger.info(
        "%s %s %d iterations: %s with %d parameters, losses %s", label, verb, total, _kind(student), parameters, terms
    )


def _kind(network: nn.Module) -> str:
    if isinstance(network, PrivilegedTeacher):
        return f"PrivilegedTeacher({_kind(network.decoder)})"
    return network.type_name if isinstance(network, SRNetwork) else type(network).__name__


@contextmanager
def _seeded(seed: int, name: str) -> Iterator[None]:
    """Random initialisation as a function of (seed, name); the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
        yield
