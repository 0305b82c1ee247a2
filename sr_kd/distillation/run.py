"""``sr-kd distil``: everything from a teacher and images to a small network's files; the same call again goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..config.plugins import load_plugins
from ..device import pick_device
from ..errors import SrKdError, UsageError, unknown_name
from ..export.export import FORMATS
from ..files import sweep_tree
from ..imaging.graph import check_onnx_packages
from ..imaging.label import make_labels, measure_cost, plan_labels
from ..networks.complexity import count_parameters
from ..recipes.api import train
from ..recipes.lock import only_run_of
from .answer import SHOWN, Answer, read_answer, seconds_for
from .finish import finish
from .inputs import PARTS, write_images
from .plan import Plan, find_images, make_plan, write_plan
from .student import (
    add_last_phase,
    affordable_iterations,
    build_student,
    first_iterations,
    last_iterations,
    measured_step,
    step_seconds,
    wants_last_phase,
    write_recipe,
)
from .teacher import Teacher, open_teacher

logger = logging.getLogger("sr_kd")
DEFAULT_SECONDS = 1200.0
FIRST_SHARE = 0.4  # of the time after labeling; then the pace is known and the rest is planned
FIRST_SECONDS, FIRST_PART = 120.0, 0.1  # it is no longer than the longer of this and this part of the time


@dataclass(frozen=True)
class Distillation:
    """What `distil` has made.

    Attributes:
        folder: of everything. answer: how good it is, with the files; None of a dry run.
        plan: what was distilled from what.
    """

    folder: Path
    plan: Plan
    answer: Answer | None


def distil(
    teacher: str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    size: str = "small",
    seconds: float | None = None,
    iterations: int | None = None,
    export: Sequence[str] = ("onnx",),
    int8: bool = False,
    scale: int | None = None,
    name: str | None = None,
    degrade: bool = False,
    plugins: Sequence[str] = (),
    device: str = "auto",
    dry_run: bool = False,
    quiet: bool = True,
) -> Distillation:
    """Distil a small network from a large one, on images without HR.

    The images as they are (at most their middle 512x512 pixels) are what the student will meet; the teacher answers
    each once, and the student learns its answers. A fifth of the images, at most 16, is held out and measured on.
    Called again with the same arguments it goes on where it was stopped, and ends with the same files.

    Args:
        teacher: a network's file (ONNX, too), the name of a shipped model, or a folder of finished answers that have
            the images' names.
        images: folders, files or patterns.
        output: the folder for everything; new, or of an earlier call.
        size: "small" (12,644 parameters), "large" (65,162), "CARN-M", or a YAML file of a network.
        seconds: for everything; default: 1200, unless there are `iterations`.
        iterations: of the training.
        export: formats: "onnx", "pt2", "safetensors" (which is always written).
        int8: an ONNX file in int8, too.
        scale: for teachers that serve several.
        name: of the student's files; default: the teacher's and the size.
        degrade: let the teacher answer a copy of each image, too, with blur, noise and JPEG.
        plugins: Python files whose networks teacher or student are; named in the recipe, too.
        device: as in `load_model`.
        dry_run: say what would be done, and how long it takes; write nothing.
        quiet: no progress bars.

    Raises:
        UsageError: a teacher, images or options that cannot be used; nothing was started.
        SrKdError: an image that cannot be read, a full disk, too little time.
    """
    began, folder = time.monotonic(), Path(output)
    _check(seconds, iterations, export, int8)
    load_plugins(plugins, Path.cwd())
    budget = DEFAULT_SECONDS if seconds is None and iterations is None else seconds
    paths = [str(images)] if isinstance(images, str | Path) else [str(path) for path in images]
    found = find_images(paths, folder)
    teaching = open_teacher(teacher, list(found.values()), scale=scale, device=str(pick_device(device)))
    student = build_student(size, teaching.scale)
    name = name or f"{teaching.path.stem}_{Path(size).stem}_x{teaching.scale}"
    plan = make_plan(
        teaching, found, folder, name=name, size=size, iterations=iterations, seconds=budget, degrade=degrade
    )
    logger.info("%s", plan.describe())
    logger.info(
        "student %s: %s with %s parameters (the teacher: %s)",
        name,
        student.type_name,
        f"{count_parameters(student):,}",
        f"{teaching.parameters:,}" if teaching.parameters else "unknown",
    )
    if dry_run:
        _announce(plan, teaching, device)
        return Distillation(folder, plan, None)
    finished = read_answer(folder)
    if finished is not None:
        logger.info("nothing to do: all is there")
        return Distillation(folder, plan, finished)
    with only_run_of(folder / "distil"):
        sweep_tree(folder)
        write_plan(plan, folder)
        write_images(plan, teaching, folder, quiet)
        if teaching.upscaler is not None:
            _label(plan, folder, teacher, device, quiet)
        recipe = folder / "recipe.yml"
        if not recipe.exists():
            recipe = write_recipe(plan, folder, _iterations(plan, device, began), plugins)
        files = partial(finish, plan, folder, teacher, teaching, export, int8, device, quiet)
        started = time.monotonic()
        experiment = train(recipe, device=device, resume=True, quiet=quiet).experiment
        if plan.seconds is not None and wants_last_phase(recipe):
            trained = time.monotonic()
            logger.info("the first phase is done, and its student written; %s", files(experiment).brief())
            step, steps, now = measured_step(experiment), first_iterations(recipe), time.monotonic()
            # Beside its iterations, the last phase will cost what the first has cost.
            beside = now - trained + max(0.0, trained - started - step * steps)
            spent = max(now - began, step * steps)  # a run that was killed has spent more than this call
            more = last_iterations(plan.seconds - spent - beside, step, steps)
            logger.info("%d more iterations fit into the time, at %.3g ms each", more, 1000 * step)
            add_last_phase(recipe, more)
            train(recipe, device=device, resume=True, quiet=quiet)
        answer = files(experiment)
        answer.write(folder)
        logger.info("that took %.0f s", time.monotonic() - began)
    return Distillation(folder, plan, answer)


def _check(seconds: float | None, iterations: int | None, export: Sequence[str], int8: bool) -> None:
    if seconds is not None and iterations is not None:
        raise UsageError("give a time or a number of iterations, not both")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise UsageError(f"a time of {seconds} s is impossible: give more than 0")
    if iterations is not None and iterations < 1:
        raise UsageError(f"{iterations} iterations are impossible: give at least 1")
    for each in export:
        if f".{each}" not in FORMATS:
            raise unknown_name("export format", each, [known.removeprefix(".") for known in FORMATS])
    if int8 or "onnx" in export:
        check_onnx_packages()


def _label(plan: Plan, folder: Path, teacher: str | Path, device: str, quiet: bool) -> None:
    for part in PARTS:
        labeling = plan_labels(
            teacher, str(folder / "images" / part), folder / "labels" / part, scale=plan.scale, device=device
        )
        if labeling.missing:
            cost = measure_cost(labeling)
            logger.info(
                "labeling %d images (%s): about %.0f s and %.0f MB",
                len(labeling.missing),
                part.replace("_", "-"),
                cost.seconds,
                cost.size / 1e6,
            )
        failed = [outcome for outcome in make_labels(labeling, quiet=quiet) if outcome.status == "failed"]
        if failed:
            raise SrKdError(
                f"{len(failed)} images could not be labeled, such as {failed[0].job.source}: {failed[0].error}"
            )


def _iterations(plan: Plan, device: str, began: float) -> int:
    """As many as were asked for, or of the first phase as many as fit into its share of the rest of the time."""
    if plan.iterations is not None or plan.seconds is None:
        return plan.iterations or 0
    step = step_seconds(plan.size, plan.scale, device)
    left = plan.seconds - (time.monotonic() - began)
    first = min(FIRST_SHARE * left, max(FIRST_SECONDS, FIRST_PART * plan.seconds))
    count = affordable_iterations(first, step)
    logger.info("%d iterations for a first student: about %.0f s, at %.3g ms each", count, first, 1000 * step)
    return count


def _announce(plan: Plan, teacher: Teacher, device: str) -> None:
    """What a dry run says of time."""
    step = step_seconds(plan.size, plan.scale, device)
    pixels = plan.side**2 * plan.copies * (len(plan.train) + len(plan.held_out))
    labels = 0.0
    if teacher.upscaler is not None:
        labels = pixels * seconds_for(teacher.upscaler) * plan.scale**2 / (SHOWN[0] * SHOWN[1])
        logger.info("labeling: at most about %.0f s and %.0f MB", labels, 2 * pixels * plan.scale**2 / 1e6)
    count = plan.iterations or max(0, int(((plan.seconds or 0.0) - labels) / step))
    about = "about" if plan.iterations else "at most about"
    logger.info("training: %s %d iterations in %.0f s (%.3g ms each)", about, count, count * step, 1000 * step)
