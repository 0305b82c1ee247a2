"""The student: how long a training step of it takes here, and its recipe as a file to read and edit."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from ..config.document import read_document
from ..errors import SrKdError
from ..files import temporary_folder, write_text
from ..recipes.api import train
from ..training.step_times import read_step_times
from .plan import Plan

logger = logging.getLogger("sr_kd")
FILE = "recipe.yml"
PATCH = 24  # side of a training patch in LR pixels
PROBES = (7, 49)  # steps that are measured; the latter only where they take no longer than
PROBE_SECONDS = 5.0
FEWEST = 6  # iterations of a first phase, of which the log tells a step's time

RECIPE = """\
# {title}
# Made by sr-kd distil; edit it, and run it again with: sr-kd train -opt {path}
name: {name}
scale: {scale}
datasets:
  train:
    name: {train_name}
    dataroot_lq: {train_images}   # {seen}
    dataroot_gt: {train_labels}   # {learned}
    gt_size: {gt_size}
    batch_size_per_gpu: 16
  val:
    name: held-out images
    dataroot_lq: {val_images}
    dataroot_gt: {val_labels}
networks:
  student: {student}
phases:{phases}
val: {{val_freq: {half}}}
logger: {{print_freq: {log}, save_checkpoint_freq: {save}, use_tb_logger: false}}
path: {{experiments_root: {experiments}, results_root: {results}}}
"""

PHASE = """
  {name}:
    trains: student
    total_iter: {iterations}{more}
    optim: {{type: SOAP, lr: 3e-3, betas: [0.95, 0.99]}}
    losses: [{{type: L1}}]
"""
WHOLE = "\n    scheduler: {type: one_cycle}"
FIRST = "\n    warmup_iter: {warmup}"  # and then a constant rate, so that the phase may end anywhere
LAST = """
    needs: [student]
    init: {from: student}
    scheduler: {type: one_cycle, pct_start: 0.1}"""

ARMS = "arms: {first phase: student, student: last}\nbaseline: first phase\n"


def step_seconds(student: dict[str, Any], scale: int, device: str) -> float:
    """Of a training step of a student with these options, measured on photographs that ship with scikit-image.

    In a real run it is measured anew.
    """
    logger.info("measuring the time of a training step, by a short training elsewhere")
    step = 0.0
    for count in PROBES:
        if count * step < PROBE_SECONDS:
            step = _probe(student, scale, device, count)
    return step


def _probe(student: dict[str, Any], scale: int, device: str, count: int) -> float:
    """Seconds of a step in a training of so many."""
    with temporary_folder() as place:
        draft = yaml.safe_load(_recipe("probe", "a probe", scale, student, count, place, place, "probe", WHOLE))
        draft["datasets"] = {"train": {"dataroot_gt": "scikit-image:held_out", "gt_size": PATCH * scale}}
        draft["logger"] |= {"print_freq": max(2, count // 6), "save_checkpoint_freq": count}
        path = place / FILE
        write_text(path, yaml.safe_dump(draft))
        return measured_step(train(path, device=device).experiment)


def measured_step(experiment: Path) -> float:
    """Seconds of a step as they were in the later half of the first phase."""
    file = experiment / "training_states" / "student" / "step_times.json"
    times = read_step_times(file)
    if not times:
        raise SrKdError(f"{file} is damaged: how long a step takes is unknown; name another folder with -o")
    return mean(times[len(times) // 2 :])


def first_iterations(recipe: Path) -> int:
    """Of the first phase."""
    return int(read_document(recipe).data["phases"]["student"]["total_iter"])


def write_recipe(plan: Plan, name: str, output: Path, iterations: int, plugins: Sequence[str] = ()) -> Path:
    """The recipe of one student, as ``recipe.yml`` in its folder; one that is there stays, whatever was edited in it.

    Where there is a limit of time, it is the first phase alone, and `add_last_phase` makes the most of what is left.

    Args:
        output: the distillation's folder.
    """
    path = plan.folder(name, output) / FILE
    if not path.exists():
        title = f"{Path(plan.teacher).name} x{plan.scale} into a student: its answers to images, L1."
        title += " A degraded copy of each image is another one." if plan.degrade else ""
        more = WHOLE if plan.seconds is None else FIRST.format(warmup=iterations // 5)
        options = plan.students[name].network
        text = _recipe(name, title, plan.scale, options, iterations, output, path.parent, plan.teacher, more, plan.hr)
        if plugins:
            text += f"plugins: {_inline([_absolute(Path(file)) for file in plugins])}\n"
        write_text(path, text)
    return path


def wants_last_phase(recipe: Path) -> bool:
    """Whether the recipe is as `write_recipe` left it, its last phase still to be planned."""
    phases = read_document(recipe).data["phases"]
    return list(phases) == ["student"] and "scheduler" not in phases["student"]


def add_last_phase(recipe: Path, iterations: int) -> None:
    """Let the learning rate fall over so many iterations, half of them before a validation."""
    before, found, after = recipe.read_text(encoding="utf-8").partition("\nval: {val_freq")
    phase = PHASE.format(name="last", iterations=iterations, more=LAST) + ARMS
    after = re.sub(r"^: \d+", f": {max(1, -(-iterations // 2))}", after)
    write_text(recipe, f"{before}{phase}{found[1:]}{after}")


def affordable_iterations(seconds: float, step: float) -> int:
    """How many fit; a few, with a warning, where hardly any do."""
    count = int(seconds / step)
    if count < FEWEST:
        logger.warning("too little time is left for training at %.2g s a step: the time will be exceeded", step)
        return FEWEST
    return count // 10 * 10 if count > 100 else count


def last_iterations(seconds: float, step: float, first: int) -> int:
    """How many more fit after `first` iterations; a fifth of these where the time is over.

    >>> last_iterations(20.0, 0.1, 100), last_iterations(-5.0, 0.1, 100)
    (200, 20)
    """
    return max(int(seconds / step), first // 5, 1)


def _recipe(
    name: str,
    title: str,
    scale: int,
    student: dict[str, Any],
    iterations: int,
    data: Path,
    own: Path,
    teacher: str,
    more: str,
    hr: bool = False,
) -> str:
    images, labels = _absolute(data / "images"), _absolute(data / "labels")
    train = {"train_images": f"{images}/train", "train_labels": f"{labels}/train"}
    lists = {"train_images": [f"{images}/train"] * 2, "train_labels": [f"{labels}/train", _absolute(data / "hr")]}
    return RECIPE.format(
        **{key: _inline(value) for key, value in (lists if hr else train).items()},
        val_images=_inline(f"{images}/held_out"),
        val_labels=_inline(f"{labels}/held_out"),
        experiments=_inline(_absolute(own / "experiments")),
        results=_inline(_absolute(own / "results")),
        seen="the images, scaled down, twice" if hr else "the images",
        learned="what the teacher made of them, and HR" if hr else "what the teacher made of them",
        title=" ".join(title.split()),
        path=" ".join(str(own / FILE).split()),
        name=_inline(name),
        scale=scale,
        train_name=_inline(f"{Path(teacher).name}'s answers"),
        gt_size=PATCH * scale,
        student=_inline(student),
        phases=PHASE.format(name="student", iterations=iterations, more=more).rstrip(),
        half=max(1, -(-iterations // 2)),
        log=max(2, min(100, iterations // 5)),
        save=max(1, min(500, iterations // 4)),
    )


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (links stay as they are)


def _inline(value: Any) -> str:
    """As YAML in one line, that may stand within braces."""
    return yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=10**6).strip()[1:-1]
