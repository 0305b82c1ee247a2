"""The student: its size, how long a training step of it takes here, and its recipe as a file to read and edit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from ..config.document import read_document
from ..errors import SrKdError, UsageError, nearest
from ..files import write_text
from ..networks.base import SRNetwork
from ..networks.build import build_network
from ..recipes.api import train
from .plan import Plan

FILE = "recipe.yml"
SIZES: dict[str, dict[str, Any]] = {
    "small": {"type": "FSRCNN", "skip": "bicubic"},
    "large": {"type": "FSRCNN", "d": 56, "s": 32, "m": 6, "skip": "bicubic"},
    "CARN-M": {"type": "CARN", "variant": "mobile", "skip": "bicubic"},
}
PATCH = 24  # side of a training patch in LR pixels
PROBE_STEPS, PROBE_INTERVAL = 49, 8
OVERHEAD = 1.05  # what logging and saving add to the steps

RECIPE = """\
# {title}
# Made by sr-kd distil; edit it, and run it again with: sr-kd train -opt {path}
name: {name}
scale: {scale}
datasets:
  train:
    name: {train_name}
    dataroot_lq: {output}/images/train   # the images
    dataroot_gt: {output}/labels/train   # what the teacher made of them
    gt_size: {gt_size}
    batch_size_per_gpu: 16
  val:
    name: held-out images
    dataroot_lq: {output}/images/held_out
    dataroot_gt: {output}/labels/held_out
networks:
  student: {student}
phases:
  student:
    trains: student
    total_iter: {iterations}
    optim: {{type: SOAP, lr: 3e-3, betas: [0.95, 0.99]}}
    scheduler: {{type: one_cycle}}
    losses: [{{type: L1}}]
val: {{val_freq: {half}}}
logger: {{print_freq: {log}, save_checkpoint_freq: {save}, use_tb_logger: false}}
path: {{experiments_root: {output}/experiments, results_root: {output}/results}}
"""


def student_options(size: str) -> dict[str, Any]:
    """The entry of the recipe's networks for a size: a name, or a YAML file of such an entry.

    Raises:
        UsageError: neither, or a file that describes no network.
    """
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
    options = {key: value for key, value in student_options(size).items() if key not in ("init", "path", "type")}
    network = build_network(student_options(size)["type"], **{"scale": scale, **options})
    if not isinstance(network, SRNetwork):
        raise UsageError(
            f"a {type(network).__name__} upscales no images: the student must be a super-resolution network"
        )
    return network


def step_seconds(size: str, scale: int, device: str) -> float:
    """Of a training step, measured on photographs that ship with scikit-image."""
    with TemporaryDirectory() as folder:
        text = _recipe("probe", "a probe", scale, student_options(size), PROBE_STEPS, Path(folder), "probe")
        draft = yaml.safe_load(text)
        draft["datasets"] = {"train": {"dataroot_gt": "scikit-image:held_out", "gt_size": PATCH * scale}}
        draft["logger"] |= {"print_freq": PROBE_INTERVAL, "save_checkpoint_freq": PROBE_STEPS}
        path = Path(folder) / FILE
        write_text(path, yaml.safe_dump(draft))
        root = train(path, device=device).experiment
        times = json.loads((root / "training_states" / "student" / "step_times.json").read_text(encoding="utf-8"))
    return OVERHEAD * median(times)


def write_recipe(plan: Plan, output: Path, iterations: int) -> Path:
    """The recipe of a distillation, as ``recipe.yml``; one that is there stays, whatever was edited in it."""
    path = output / FILE
    if not path.exists():
        title = f"{Path(plan.teacher).name} x{plan.scale} into a student: its answers to images, L1."
        write_text(
            path, _recipe(plan.name, title, plan.scale, student_options(plan.size), iterations, output, plan.teacher)
        )
    return path


def affordable_iterations(seconds: float, step: float) -> int:
    """How many fit.

    Raises:
        SrKdError: hardly any.
    """
    count = int(seconds / step)
    if count < PROBE_STEPS:
        raise SrKdError(f"{max(0.0, seconds):.0f} s are left for training at {step:.2g} s a step: give more time")
    return count // 10 * 10 if count > 100 else count


def _recipe(
    name: str, title: str, scale: int, student: dict[str, Any], iterations: int, output: Path, teacher: str
) -> str:
    def inline(value: Any) -> str:
        return (
            yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6).strip().removesuffix("\n...")
        )

    return RECIPE.format(
        title=" ".join(title.split()),
        path=output / FILE,
        name=inline(name),
        scale=scale,
        train_name=inline(f"{Path(teacher).name}'s answers"),
        output=inline(os.path.abspath(output)),  # noqa: PTH100 (links stay as they are)
        gt_size=PATCH * scale,
        student=inline(student),
        iterations=iterations,
        half=max(1, -(-iterations // 2)),
        log=max(1, min(100, iterations // 5)),
        save=max(1, min(500, iterations // 4)),
    )
