"""The student: its size, how long a training step of it takes here, and its recipe as a file to read and edit."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from ..config.document import read_document
from ..errors import SrKdError, UsageError, nearest
from ..files import write_text
from ..networks.base import SRNetwork
from ..networks.build import build_network
from ..networks.files import load_network
from ..recipes.api import train
from ..training.step_times import read_step_times
from ..zoo.manifest import shipped_models
from .plan import Plan

logger = logging.getLogger("sr_kd")
FILE = "recipe.yml"
SIZES: dict[str, dict[str, Any]] = {
    "small": {"type": "FSRCNN", "skip": "bicubic"},
    "large": {"type": "FSRCNN", "d": 56, "s": 32, "m": 6, "skip": "bicubic"},
    "CARN-M": {"type": "CARN", "variant": "mobile", "skip": "bicubic"},
}
PATCH = 24  # side of a training patch in LR pixels
PROBE_STEPS, PROBE_INTERVAL = 49, 8
SHIPPED = {"small": "fsrcnn_x{scale}", "large": "fsrcnn_x{scale}_large"}  # a better start than bicubic

RECIPE = """\
# {title}
# Made by sr-kd distil; edit it, and run it again with: sr-kd train -opt {path}
name: {name}
scale: {scale}
datasets:
  train:
    name: {train_name}
    dataroot_lq: {train_images}   # the images
    dataroot_gt: {train_labels}   # what the teacher made of them
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

ARMS = "arms: {student: student, last: last}\n"


def student_options(size: str, scale: int) -> dict[str, Any]:
    """The entry of the recipe's networks for a size: a name, or a YAML file of such an entry.

    Where a model of that size is shipped for the scale, the student begins as that.

    Raises:
        UsageError: neither, or a file that describes no network.
    """
    shipped = shipped_models().get(SHIPPED.get(size, "").format(scale=scale))
    if shipped is not None:
        network = load_network(shipped.verified_file()).network
        arguments: dict[str, Any] = network.arguments  # type: ignore[assignment]
        shape = {key: arguments[key] for key in ("d", "s", "m", "skip")}
        return {"type": shipped.details["network"], **shape, "path": shipped.name}
    if size in SIZES:
        return {**SIZES[size], "init": "bicubic"} if SIZES[size]["type"] == "FSRCNN" else dict(SIZES[size])
    if not Path(size).is_file():
        known = ", ".join(SIZES)
        raise UsageError(f"unknown size '{size}'{nearest(size, SIZES)}; known: {known}, or a YAML file of a network")
    options = dict(read_document(size).data)
    if "type" not in options:
        raise UsageError(f"{size} describes no network: it has no 'type', as in {{type: FSRCNN, d: 32, skip: bicubic}}")
    return options


def build_student(size: str, scale: int) -> SRNetwork:
    """Untrained, to know how large it is. Raises UsageError for options that the network does not take."""
    options = {key: value for key, value in student_options(size, scale).items() if key not in ("init", "path")}
    network = build_network(options.pop("type"), **{"scale": scale, **options})
    if not isinstance(network, SRNetwork):
        raise UsageError(
            f"a {type(network).__name__} upscales no images: the student must be a super-resolution network"
        )
    return network


def step_seconds(size: str, scale: int, device: str) -> float:
    """Of a training step, measured on photographs that ship with scikit-image; in a real run it is measured anew."""
    logger.info("measuring the time of a training step, by a short training elsewhere")
    with TemporaryDirectory() as folder:
        text = _recipe(
            "probe", "a probe", scale, student_options(size, scale), PROBE_STEPS, Path(folder), "probe", WHOLE
        )
        draft = yaml.safe_load(text)
        draft["datasets"] = {"train": {"dataroot_gt": "scikit-image:held_out", "gt_size": PATCH * scale}}
        draft["logger"] |= {"print_freq": PROBE_INTERVAL, "save_checkpoint_freq": PROBE_STEPS}
        path = Path(folder) / FILE
        write_text(path, yaml.safe_dump(draft))
        root = train(path, device=device).experiment
        return measured_step(root)


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


def write_recipe(plan: Plan, output: Path, iterations: int, plugins: Sequence[str] = ()) -> Path:
    """The recipe of a distillation, as ``recipe.yml``; one that is there stays, whatever was edited in it.

    Where there is a limit of time, it is the first phase alone, and `add_last_phase` makes the most of what is left.
    """
    path = output / FILE
    if not path.exists():
        title = f"{Path(plan.teacher).name} x{plan.scale} into a student: its answers to images, L1."
        title += " A degraded copy of each image is another one." if plan.degrade else ""
        more = WHOLE if plan.seconds is None else FIRST.format(warmup=iterations // 5)
        options = student_options(plan.size, plan.scale)
        text = _recipe(plan.name, title, plan.scale, options, iterations, output, plan.teacher, more)
        if plugins:
            text += f"plugins: {_inline([os.path.abspath(file) for file in plugins])}\n"  # noqa: PTH100 (as below)
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
    if count < PROBE_STEPS:
        logger.warning("too little time is left for training at %.2g s a step: the time will be exceeded", step)
        return PROBE_STEPS
    return count // 10 * 10 if count > 100 else count


def last_iterations(seconds: float, step: float, first: int) -> int:
    """How many more fit after `first` iterations; a fifth of these where the time is over.

    >>> last_iterations(20.0, 0.1, 100), last_iterations(-5.0, 0.1, 100)
    (200, 20)
    """
    return max(int(seconds / step), first // 5, 1)


def _recipe(
    name: str, title: str, scale: int, student: dict[str, Any], iterations: int, output: Path, teacher: str, more: str
) -> str:
    root = os.path.abspath(output)  # noqa: PTH100 (links stay as they are)
    places = {
        "train_images": "images/train",
        "train_labels": "labels/train",
        "val_images": "images/held_out",
        "val_labels": "labels/held_out",
        "experiments": "experiments",
        "results": "results",
    }
    return RECIPE.format(
        **{key: _inline(f"{root}/{below}") for key, below in places.items()},
        title=" ".join(title.split()),
        path=" ".join(str(output / FILE).split()),
        name=_inline(name),
        scale=scale,
        train_name=_inline(f"{Path(teacher).name}'s answers"),
        gt_size=PATCH * scale,
        student=_inline(student),
        phases=PHASE.format(name="student", iterations=iterations, more=more).rstrip(),
        half=max(1, -(-iterations // 2)),
        log=max(1, min(100, iterations // 5)),
        save=max(1, min(500, iterations // 4)),
    )


def _inline(value: Any) -> str:
    """As YAML in one line, that may stand within braces."""
    return yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=10**6).strip()[1:-1]
