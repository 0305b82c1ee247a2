"""What is distilled from what: fixed before any work and kept in ``plan.json`` for the same command to go on with."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SrKdError, UsageError
from ..files import check_folder, read_json, write_text
from ..images import read_header
from ..imaging.jobs import Naming, plan_jobs
from ..imaging.label import PROBE, time_per_pixel
from .teacher import Teacher

logger = logging.getLogger("sr_kd")
FILE = "plan.json"
SMALLEST, LARGEST = 32, 512  # sides of what is cut out of an image, in pixels
HELD_OUT, MOST_HELD_OUT = 5, 16  # one image in so many validates, and at most so many do
LABELING_SHARE = 0.25  # of the time
RESERVED = ("images", "labels", "hr", "experiments", "results")


@dataclass(frozen=True)
class Student:
    """One of a plan: its size as given, and the network's entry in its recipe."""

    size: str
    network: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The content of ``plan.json``.

    Attributes:
        teacher: its file or folder. teacher_sha256: of it. scale: of its answers.
        students: by the name of their files. iterations: of each, as given. seconds: for everything, as given.
        side: of the middle that is cut out of larger images.
        train, held_out: file name -> the image that it is cut from.
        degrade: whether a degraded copy of each is an image, too.
        hr: whether they are HR, and the teacher sees them scaled down.
    """

    teacher: str
    teacher_sha256: str
    scale: int
    students: dict[str, Student]
    iterations: int | None
    seconds: float | None
    side: int
    train: dict[str, str]
    held_out: dict[str, str]
    degrade: bool = False
    hr: bool = False

    @property
    def copies(self) -> int:
        """How many images are made of one."""
        return 2 if self.degrade else 1

    def describe(self) -> str:
        """In words."""
        return (
            f"{Path(self.teacher).name} x{self.scale} teaches on {len(self.train)} images, {len(self.held_out)} more "
            f"are held out; of each at most the middle {self.side}x{self.side} pixels"
            + (f" once they are {self.scale} times smaller" if self.hr else "")
            + (", and a degraded copy" if self.degrade else "")
        )

    def folder(self, name: str, output: Path) -> Path:
        """Of a student's files: the plan's own where there is one student alone."""
        return output if len(self.students) == 1 else output / name


def find_images(images: Sequence[str], output: Path, smallest: int = SMALLEST) -> dict[str, Path]:
    """File names in the folders of the plan -> the images; one that cannot be read is named and left out.

    Args:
        smallest: how many pixels their sides must have.

    Raises:
        UsageError: no images, too few, or too small ones.
    """
    check_folder(output, "-o")
    jobs = plan_jobs(images, f"{output}/", Naming(ext="png"))
    found, small = {}, []
    for job in jobs:
        try:
            header = read_header(job.source)
        except SrKdError as error:
            logger.warning("%s: it is left out", error)
            continue
        found[str(job.target.relative_to(output)).replace("/", "_")] = job.source
        small += [job.source] if min(header.height, header.width) < smallest else []
    if len({str(job.target.relative_to(output)).replace("/", "_") for job in jobs}) < len(jobs):
        raise UsageError("two images have the same name once folders are joined with '_': rename one of them")
    if len(found) < 2:
        raise UsageError(
            f"there is {'one' if found else 'no'} image, and two are needed: one to learn from, "
            "one to see how well that went"
        )
    if small:
        raise UsageError(
            f"{len(small)} of {len(found)} images are too small to learn from, such as {small[0]}: "
            f"their sides must be {smallest} pixels or more"
        )
    return found


def make_plan(
    teacher: Teacher,
    found: Mapping[str, Path],
    output: Path,
    *,
    students: Mapping[str, Student],
    iterations: int | None,
    seconds: float | None,
    degrade: bool = False,
    hr: bool = False,
) -> Plan:
    """The plan of the folder, or a new one; nothing is written.

    Every fifth image is held out. Where there is a limit of time, as much is cut out of each image as the teacher
    can answer in a quarter of it.

    Raises:
        UsageError: a folder that was begun in another way.
        SrKdError: too little time.
    """
    for name in students:
        if not re.fullmatch(r"[\w.-]+", name) or (len(students) > 1 and name in RESERVED):
            raise UsageError(f"--name '{name}': give letters, digits, '-', '_' and '.'")
    if hr and teacher.upscaler is None:
        raise UsageError(f"--hr: {teacher.path} has no answers to smaller images; give the teacher's network")
    if degrade and teacher.upscaler is None:
        raise UsageError(f"--degrade: {teacher.path} has no answers to degraded copies; give the teacher's network")
    taken = next((file for file in found if degrade and copy_name(file) in found), None)
    if taken is not None:
        raise UsageError(
            f"--degrade: the copy of {found[taken]} would be named as {found[copy_name(taken)]}: rename it"
        )
    step = max(2, len(found) // min(MOST_HELD_OUT, max(1, len(found) // HELD_OUT)))
    names = {file: str(path) for file, path in found.items()}
    held_out = dict(list(names.items())[step // 2 :: step][:MOST_HELD_OUT])
    wanted = {
        "teacher_sha256": teacher.sha256,
        "scale": teacher.scale,
        "students": dict(students),
        "iterations": iterations,
        "seconds": seconds,
        "degrade": degrade,
        "hr": hr,
        "train": {file: path for file, path in names.items() if file not in held_out},
        "held_out": held_out,
    }
    before = read_plan(output)
    if before is None:
        if output.is_dir() and any(not path.name.startswith(".") for path in output.iterdir()):
            raise UsageError(f"-o {output} holds other files, and no {FILE}: name another folder")
        share = LABELING_SHARE / (2 if degrade else 1)
        side = LARGEST if seconds is None else _affordable_side(teacher, list(found.values()), share * seconds)
        return Plan(teacher=str(teacher.path), side=side, **wanted)  # type: ignore[arg-type]
    differing = [key for key, value in wanted.items() if getattr(before, key) != value]
    if differing:
        shown = [
            f"{key}: {_shown(getattr(before, key))}, now {_shown(wanted[key])}"
            for key in differing
            if key not in ("train", "held_out")
        ]
        shown += ["other images"] * (len(shown) < len(differing))
        raise UsageError(f"{output} was begun otherwise ({'; '.join(shown)}): name another folder with -o")
    return before


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} of size {student.size}" for name, student in value.items())
    return str(value)


def read_plan(output: Path) -> Plan | None:
    """The plan of a folder; None where it has none. Raises SrKdError for a damaged one."""
    path = output / FILE
    if not path.is_file():
        return None
    try:
        plan: Plan = read_json(path, Plan)
        if plan.side < SMALLEST or not all("type" in student.network for student in plan.students.values()):
            raise ValueError
        return plan
    except (OSError, ValueError):
        raise SrKdError(f"{path} is damaged: remove {output} and begin anew") from None


def write_plan(plan: Plan, output: Path) -> None:
    """As ``plan.json``. Raises SrKdError for a folder that cannot be written."""
    write_text(output / FILE, json.dumps(asdict(plan), indent=2))


def copy_name(file: str) -> str:
    """Of the degraded copy of an image.

    >>> copy_name("train/cat.png")
    'train/cat_degraded.png'
    """
    return f"{file.removesuffix('.png')}_degraded.png"


def _affordable_side(teacher: Teacher, paths: Sequence[Path], seconds: float) -> int:
    """Multiple of 16, so that all middles together are labeled in so many seconds."""
    if teacher.upscaler is None:
        return LARGEST
    for path in paths:
        with suppress(SrKdError):  # an unreadable one is named later
            budget = seconds / time_per_pixel(teacher.upscaler, path)
            break
    else:
        raise SrKdError(f"none of {len(paths)} images can be read, such as {paths[0]}")
    side = min(LARGEST, math.isqrt(int(budget / len(paths))) // 16 * 16)
    if side < SMALLEST:
        raise UsageError(
            f"the time is too short for this teacher on {len(paths)} images ({PROBE}x{PROBE} pixels take "
            f"{PROBE**2 * seconds / budget:.2g} s here): give more time, or fewer images"
        )
    return side
