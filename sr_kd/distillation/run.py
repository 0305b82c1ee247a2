"""``sr-kd distil``: everything from a teacher and images to a small network's files; the same call again goes on."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.document import read_document
from ..data.sets import open_set
from ..device import pick_device
from ..errors import SrKdError, UsageError, unknown_name
from ..export.export import FORMATS, export_network
from ..export.int8 import export_int8
from ..files import write_text
from ..imaging.graph import check_onnx_packages
from ..imaging.label import free_bytes, make_labels, measure_cost, plan_labels
from ..imaging.load import load_model
from ..networks.complexity import count_parameters
from ..networks.files import save_network
from ..recipes.api import train
from ..recipes.lock import only_run_of
from ..report.card import model_card
from ..report.facts import file_facts
from ..report.run import find_run
from ..report.write import write_page
from .answer import SHOWN, Answer, license_of, measure, read_answer, seconds_for
from .plan import Plan, find_images, make_plan, write_images
from .student import (
    add_last_phase,
    affordable_iterations,
    build_student,
    measured_step,
    step_seconds,
    wants_last_phase,
    write_recipe,
)
from .teacher import Teacher, open_teacher

logger = logging.getLogger("sr_kd")
DEFAULT_SECONDS = 1200.0
FIRST_SHARE = 0.5  # of the training, after which the pace is known and the rest is planned
AFTER, AFTER_SHARE = 35.0, 0.03  # seconds, and share of the time, for what comes after the training


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
        device: as in `load_model`.
        dry_run: say what would be done, and how long it takes; write nothing.
        quiet: no progress bars.

    Raises:
        UsageError: a teacher, images or options that cannot be used; nothing was started.
        SrKdError: an image that cannot be read, a full disk, too little time.
    """
    began, folder = time.monotonic(), Path(output)
    _check(seconds, iterations, export, int8)
    budget = DEFAULT_SECONDS if seconds is None and iterations is None else seconds
    paths = [str(images)] if isinstance(images, str | Path) else [str(path) for path in images]
    found = find_images(paths, folder)
    teaching = open_teacher(teacher, list(found.values()), scale=scale, device=str(pick_device(device)))
    student = build_student(size, teaching.scale)
    name = name or f"{teaching.path.stem}_{Path(size).stem}_x{teaching.scale}"
    plan = make_plan(teaching, found, folder, name=name, size=size, iterations=iterations, seconds=budget)
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
        write_images(plan, teaching, folder, quiet)
        if teaching.upscaler is not None:
            _label(plan, folder, teacher, device, quiet)
        recipe = folder / "recipe.yml"
        if not recipe.exists():
            recipe = write_recipe(plan, folder, _iterations(plan, device, began))
        experiment = train(recipe, device=device, resume=True, quiet=quiet).experiment
        if plan.seconds is not None and wants_last_phase(recipe):
            add_last_phase(recipe, _last_iterations(plan, recipe, experiment, began))
            experiment = train(recipe, device=device, resume=True, quiet=quiet).experiment
        answer = _finish(plan, folder, teacher, teaching, experiment, tuple(export), int8, device, quiet)
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
    for part in ("train", "held_out"):
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
            if cost.size > free_bytes(folder):
                raise SrKdError(
                    f"the labels take about {cost.size / 1e6:.0f} MB, more than {folder} has free: make room"
                )
        failed = [outcome for outcome in make_labels(labeling, quiet=quiet) if outcome.status == "failed"]
        if failed:
            raise SrKdError(
                f"{len(failed)} images could not be labeled, such as {failed[0].job.source}: {failed[0].error}"
            )


def _iterations(plan: Plan, device: str, began: float) -> int:
    """As many as were asked for, or of the first phase as many as fit into its share of the rest of the time."""
    if plan.iterations is not None:
        return plan.iterations
    step = step_seconds(plan.size, plan.scale, device)
    left = _training_seconds(plan) - (time.monotonic() - began)
    count = affordable_iterations(FIRST_SHARE * left, step)
    logger.info("about %d iterations fit into the time, at %.3g ms each", int(count / FIRST_SHARE), 1000 * step)
    return count


def _last_iterations(plan: Plan, recipe: Path, experiment: Path, began: float) -> int:
    """As many as fit into the time at the pace of the first phase; fewer than it had where it was no guide."""
    first = int(read_document(recipe).data["phases"]["student"]["total_iter"])
    step = measured_step(experiment)
    fitting = int((_training_seconds(plan) - (time.monotonic() - began)) / step)
    count = min(max(fitting, first // 5, 1), 2 * first)
    logger.info("%d more iterations fit into the time, at %.3g ms each", count, 1000 * step)
    return count


def _training_seconds(plan: Plan) -> float:
    """When training has to end, counted from the beginning."""
    return (plan.seconds or 0.0) * (1 - AFTER_SHARE) - AFTER


def _announce(plan: Plan, teacher: Teacher, device: str) -> None:
    """What a dry run says of time."""
    step = step_seconds(plan.size, plan.scale, device)
    pixels = plan.side**2 * (len(plan.train) + len(plan.held_out))
    labels = 0.0
    if teacher.upscaler is not None:
        labels = pixels * seconds_for(teacher.upscaler) * plan.scale**2 / (SHOWN[0] * SHOWN[1])
        logger.info("labeling: at most about %.0f s and %.0f MB", labels, 2 * pixels * plan.scale**2 / 1e6)
    seconds = plan.iterations * step if plan.iterations else max(0.0, _training_seconds(plan) - labels)
    count = plan.iterations or int(seconds / step)
    logger.info("training: about %d iterations in %.0f s (%.3g ms each)", count, seconds, 1000 * step)


def _finish(
    plan: Plan,
    folder: Path,
    name: str | Path,
    teacher: Teacher,
    experiment: Path,
    export: tuple[str, ...],
    int8: bool,
    device: str,
    quiet: bool,
) -> Answer:
    """The student's files, checked by running them; the report, the card and the answer."""
    last = experiment / "models" / "last" / "net_g_latest.pth"
    made = last if last.is_file() else experiment / "models" / "net_g_latest.pth"
    network = load_model(made, scale=plan.scale, device="cpu").network
    if network is None:
        raise SrKdError(f"{experiment} holds no student")
    license_name, license_file = license_of(name, teacher.path)
    held_out, train_set = (
        open_set(str(folder / "labels" / part), dataroot_lq=str(folder / "images" / part), scale=plan.scale)
        for part in ("held_out", "train")
    )
    student = folder / f"{plan.name}.safetensors"
    metadata = {
        "note": f"Distilled from {teacher.path.name} (SHA-256 {plan.teacher_sha256}): it gives what that gives.",
        "trained_on": f"{len(plan.train)} images, labeled by the teacher",
        "recipe": plan.name,
        "license": f"that of the teacher: {license_name}",
    }
    save_network(student, network, metadata=metadata)
    files, notes = [student], []
    for each in export:
        path = folder / f"{plan.name}.{each}"
        if each != "safetensors":
            files.append(export_network(network, path, rgb=network.color == "y").path)
    if int8:
        try:
            target = folder / f"{plan.name}_int8.onnx"
            files.append(export_int8(network, target, train_set, rgb=network.color == "y").path)
        except SrKdError as error:
            notes.append(str(error))
    if license_file is None:
        notes.append("no license file lies beside the teacher: find out what its author allows before you ship this")
    else:
        files.append(Path(shutil.copyfile(license_file, folder / "TEACHER_LICENSE.txt")))
    run = find_run(folder / "recipe.yml")
    files.append(write_page([run], folder / "report.html", pick_device(device), quiet=quiet))
    card = folder / "README.md"
    write_text(card, model_card(file_facts(student)))
    shown = tuple(str(path) for path in [*files, card, folder / "recipe.yml"])
    answer = measure(teacher, student, plan.name, held_out, pick_device(device), license_name, shown, tuple(notes))
    answer.write(folder)
    return answer
