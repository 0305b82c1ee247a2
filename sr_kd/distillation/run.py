"""``sr-kd distil``: everything from a teacher and images to a small network's files; the same call again goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.plugins import load_plugins
from ..device import pick_device
from ..errors import SrKdError, UsageError, unknown_name
from ..export.export import FORMATS, check_packages
from ..files import sweep_tree
from ..imaging.label import make_labels, measure_cost, plan_labels
from ..networks.complexity import count_parameters
from ..recipes.api import train
from ..recipes.lock import only_run_of
from .answer import StudentAnswer, read_answer
from .clock import Clock
from .finish import Finisher
from .inputs import PARTS, write_images
from .plan import SMALLEST, Plan, Student, find_images, make_plan, read_plan, write_plan
from .sizes import SHOWN, build_student, seconds_for, student_options
from .student import FILE as RECIPE_FILE
from .student import (
    add_last_phase,
    affordable_iterations,
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
        folder: of everything. plan: what was distilled from what.
        answers: student -> how good it is, with its files; empty of a dry run.
        page: of all students beside each other; None where there is one alone.
    """

    folder: Path
    plan: Plan
    answers: Mapping[str, StudentAnswer]
    page: Path | None = None

    def text(self) -> str:
        """For the end of the command."""
        pages = [] if self.page is None else [f"wrote {self.page}"]
        return "\n".join([*(answer.text() for answer in self.answers.values()), *pages])


def distil(
    teacher: str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    size: str | Sequence[str] = "small",
    seconds: float | None = None,
    iterations: int | None = None,
    export: Sequence[str] = ("onnx",),
    int8: bool = False,
    scale: int | None = None,
    name: str | None = None,
    degrade: bool = False,
    hr: bool = False,
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
        size: "small" (12,644 parameters), "large" (65,162), "CARN-M", a YAML file of a network, or what it may cost
            at most: "50k" parameters, "8G" multiply-adds at 1280x720, "12ms" here. Several: a student of each.
        seconds: for everything; default: 1200, unless there are `iterations`.
        iterations: of the training of each student.
        export: formats: "onnx", "pt2", "safetensors" (which is always written).
        int8: an ONNX file in int8, too.
        scale: for teachers that serve several.
        name: of the student's files; default: the teacher's and the size.
        degrade: let the teacher answer a copy of each image, too, with blur, noise and JPEG.
        hr: the images are HR: the teacher answers them scaled down, and the student learns them beside its answers.
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
    if hr:
        found = find_images(paths, folder, SMALLEST * teaching.scale)
    sizes = [size] if isinstance(size, str) else list(size)
    names = _names(name or teaching.path.stem, sizes, teaching.scale, exact=name is not None)
    students = _students(dict(zip(names, sizes, strict=True)), read_plan(folder), teaching.scale, device)
    plan = make_plan(
        teaching, found, folder, students=students, iterations=iterations, seconds=budget, degrade=degrade, hr=hr
    )
    logger.info("%s", plan.describe())
    for each, student in plan.students.items():
        network = build_student(student.network, plan.scale)
        known = f"{teaching.parameters:,}" if teaching.parameters else "unknown"
        parameters = f"{count_parameters(network):,}"
        logger.info("student %s: %s with %s parameters (the teacher: %s)", each, network.type_name, parameters, known)
    if dry_run:
        _announce(plan, teaching, device)
        return Distillation(folder, plan, {})
    finisher = Finisher(plan, folder, teaching, export, int8, device, quiet)
    page = folder / "report.html" if len(plan.students) > 1 else None
    finished = {each: read_answer(plan.folder(each, folder)) for each in plan.students}
    answers = {each: answer for each, answer in finished.items() if answer is not None}
    if len(answers) == len(plan.students) and (page is None or page.is_file()):
        logger.info("nothing to do: all is there")
        return Distillation(folder, plan, answers, page)
    with only_run_of(folder / "distil"), Clock(folder, began) as clock:
        sweep_tree(folder)
        write_plan(plan, folder)
        write_images(plan, teaching, folder, quiet)
        if teaching.upscaler is not None:
            _label(plan, folder, teacher, device, quiet)
        left = len(plan.students) - len(answers)
        for each in plan.students:
            if each not in answers:
                share = None if budget is None else (budget - clock.now() + clock.since(each)) / left
                answers[each] = _make_student(each, finisher, share, plugins, clock)
                left -= 1
        if page is not None:
            finisher.report({each: answers[each] for each in plan.students})
        before = f", {clock.before:.0f} of them before this call" if clock.before else ""
        logger.info("that took %.0f s%s", clock.now(), before)
    return Distillation(folder, plan, {each: answers[each] for each in plan.students}, page)


def _names(stem: str, sizes: Sequence[str], scale: int, *, exact: bool) -> list[str]:
    """Of the students' files. Raises UsageError where two sizes are called alike, or there is none."""
    short = [Path(size).stem for size in sizes]
    if not sizes or len(set(short)) < len(short):
        raise UsageError(f"--size {','.join(sizes)}: give each size once")
    if exact:
        return [stem] if len(sizes) == 1 else [f"{stem}_{size}" for size in short]
    return [f"{stem}_{size}_x{scale}" for size in short]


def _students(sizes: Mapping[str, str], before: Plan | None, scale: int, device: str) -> dict[str, Student]:
    """By name; as in the plan of an earlier call where that has the same: what was measured then is kept."""
    if before is not None and {name: student.size for name, student in before.students.items()} == sizes:
        return dict(before.students)
    return {name: Student(size, student_options(size, scale, device)) for name, size in sizes.items()}


def _make_student(
    name: str, finisher: Finisher, seconds: float | None, plugins: Sequence[str], clock: Clock
) -> StudentAnswer:
    """Train one within so many seconds since its mark of the clock, or by the plan's iterations, and make its files."""
    plan, device, quiet = finisher.plan, finisher.device, finisher.quiet
    own = plan.folder(name, finisher.folder)
    recipe = own / RECIPE_FILE
    if not recipe.exists():
        iterations = plan.iterations or _first_iterations(plan, name, (seconds or 0.0) - clock.since(name), device)
        recipe = write_recipe(plan, name, finisher.folder, iterations, plugins)
    started = time.monotonic()
    experiment = train(recipe, device=device, resume=True, quiet=quiet).experiment
    if seconds is not None and wants_last_phase(recipe):
        trained = time.monotonic()
        brief = finisher.finish(name, experiment).brief()
        logger.info("the first phase is done, and its student written; %s", brief)
        step, steps, now = measured_step(experiment), first_iterations(recipe), time.monotonic()
        # Beside its iterations, the last phase will cost what the first has cost.
        beside = now - trained + max(0.0, trained - started - step * steps)
        more = last_iterations(seconds - clock.since(name) - beside, step, steps)
        logger.info("%d more iterations fit into the time, at %.3g ms each", more, 1000 * step)
        add_last_phase(recipe, more)
        train(recipe, device=device, resume=True, quiet=quiet)
    answer = finisher.finish(name, experiment)
    answer.write(own)
    return answer


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
        check_packages(f".{each}")
    if int8:
        check_packages(".onnx")


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


def _first_iterations(plan: Plan, name: str, seconds: float, device: str) -> int:
    """Of the first phase: as many as fit into its share of the time."""
    began = time.monotonic()
    step = step_seconds(plan.students[name].network, plan.scale, device)
    left = seconds - (time.monotonic() - began)
    first = min(FIRST_SHARE * left, max(FIRST_SECONDS, FIRST_PART * seconds))
    count = affordable_iterations(first, step)
    logger.info("%d iterations for a first student: about %.0f s, at %.3g ms each", count, first, 1000 * step)
    return count


def _announce(plan: Plan, teacher: Teacher, device: str) -> None:
    """What a dry run says of time."""
    pixels = plan.side**2 * plan.copies * (len(plan.train) + len(plan.held_out))
    labels = 0.0
    if teacher.upscaler is not None:
        labels = pixels * seconds_for(teacher.upscaler) * plan.scale**2 / (SHOWN[0] * SHOWN[1])
        logger.info("labeling: at most about %.0f s and %.0f MB", labels, 2 * pixels * plan.scale**2 / 1e6)
    for name, student in plan.students.items():
        step = step_seconds(student.network, plan.scale, device)
        count = plan.iterations or max(0, int(((plan.seconds or 0.0) - labels) / len(plan.students) / step))
        about = "about" if plan.iterations else "at most about"
        logger.info("%s: %s %d iterations in %.0f s (%.3g ms each)", name, about, count, count * step, 1000 * step)
