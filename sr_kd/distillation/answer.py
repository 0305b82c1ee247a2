"""What came of a distillation: how close the student is to its teacher, how fast and small, under what terms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from ..data.sets import ImageSet
from ..errors import SrKdError
from ..evaluation.benchmark import score_network
from ..files import read_json, write_text
from ..imaging.load import default_model, load_model
from ..imaging.upscaler import Upscaler
from ..networks.complexity import count_parameters
from ..networks.files import load_network
from ..zoo.manifest import ShippedModel, shipped_models
from .sizes import SHOWN, seconds_for
from .teacher import Teacher

FILE = "answer.json"
LICENSES = ("LICEN[CS]E*", "COPYING*", "license*")


@dataclass(frozen=True)
class Closeness:
    """PSNR in dB and SSIM of a model's results to the teacher's on the held-out images (protocol rgb8)."""

    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class StudentAnswer:
    """The content of ``answer.json``.

    Attributes:
        closeness: of the student, bicubic interpolation and the shipped model of the scale, by name.
        seconds: the teacher's and the student's for a result of 640x480 pixels. parameters: of both.
        license: of the teacher, in words. files: everything that was made.
        notes: what could not be done.
    """

    closeness: Mapping[str, Closeness]
    seconds: Mapping[str, float]
    parameters: Mapping[str, int]
    device: str
    images: int
    license: str
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def write(self, output: Path) -> None:
        """As ``answer.json``."""
        write_text(output / FILE, json.dumps(asdict(self), indent=2))

    def brief(self) -> str:
        """How close all are, in a line."""
        return ", ".join(f"{name} {_number(one.psnr, 2)} dB" for name, one in self.closeness.items())

    def text(self) -> str:
        """For the end of the command."""
        width = max([18, *map(len, dict(self.closeness))])
        close = [
            f"  {name:<{width}} {_number(one.psnr, 2)} dB   SSIM {_number(one.ssim, 4)}"
            for name, one in self.closeness.items()
        ]
        seconds, parameters = self.seconds, self.parameters
        speed = f"{1000 * seconds['student']:.3g} ms for {SHOWN[0]}x{SHOWN[1]} pixels"
        size = f"{parameters['student']:,} parameters"
        if "teacher" in seconds:
            speed = f"{seconds['teacher'] / seconds['student']:.3g} times faster ({speed}, teacher "
            speed += f"{1000 * seconds['teacher']:.3g} ms, {self.device})"
        if "teacher" in parameters:
            size = f"{parameters['teacher'] / parameters['student']:.3g} times smaller ({size}, teacher "
            size += f"{parameters['teacher']:,})"
        lines = [
            f"How close to the teacher, on {self.images} held-out image{'s' * (self.images > 1)}:",
            *close,
            f"{speed}, {size}",
            f"License of the teacher: {self.license}",
            *(f"Note: {note}" for note in self.notes),
            *(f"wrote {file}" for file in self.files),
        ]
        return "\n".join(lines)


def read_answer(output: Path) -> StudentAnswer | None:
    """What a finished distillation has written; None before, or where one of its files is gone."""
    try:
        answer: StudentAnswer = read_json(output / FILE, StudentAnswer)
        answer.text()  # whether it can be shown
    except (OSError, ValueError, KeyError, ArithmeticError):
        return None
    return answer if all(Path(file).is_file() for file in answer.files) else None


def measure(
    teacher: Teacher,
    student: Path,
    name: str,
    held_out: ImageSet,
    device: torch.device,
    license_name: str,
) -> StudentAnswer:
    """The student beside bicubic, the shipped model, and the teacher's speed; no files yet."""
    own = load_model(student, scale=teacher.scale, device=device)
    models = {name: own, "bicubic": Upscaler(None, scale=teacher.scale, device=device)}
    if teacher.scale in {model.scale for model in shipped_models().values()}:
        shipped = default_model(teacher.scale)
        models[f"shipped {shipped}"] = load_model(shipped, device=device)
    closeness = {}
    for label, model in models.items():
        score = score_network(model, held_out)
        closeness[label] = Closeness(score.psnr, score.means.get("ssim"))
    known = {"teacher": teacher.upscaler, "student": own}
    parameters = {"teacher": teacher.parameters, "student": count_parameters(own.network)}  # type: ignore[arg-type]
    return StudentAnswer(
        closeness,
        {key: seconds_for(each) for key, each in known.items() if each is not None},
        {key: count for key, count in parameters.items() if count},
        "CPU" if device.type == "cpu" else str(device),
        len(held_out),
        license_name,
    )


def license_of(teacher: Teacher) -> tuple[str, Path | None]:
    """(the teacher's license in words, the file of it where there is one).

    What the manifest of shipped models or the metadata of the file says comes before the file beside the weights.
    """
    for model in shipped_models().values():
        if model.sha256 == teacher.sha256:
            return _license_of_shipped(model)
    try:
        metadata: Mapping[str, Any] = load_network(teacher.path).metadata
    except SrKdError:
        metadata = {}
    folder = teacher.path if teacher.path.is_dir() else teacher.path.parent
    beside = [path for pattern in LICENSES for path in sorted(folder.glob(pattern)) if path.is_file()]
    text = beside[0].read_text(encoding="utf-8", errors="replace") if beside else ""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    said = str(metadata.get("license", "")) or re.sub(r"\s+", " ", first)[:80]
    return said or "unknown (neither the file nor a LICENSE beside it says): ask its author", next(iter(beside), None)


def _license_of_shipped(model: ShippedModel) -> tuple[str, Path | None]:
    """As its card says, with the file that this names; the package's own where the card says nothing."""
    if said := model.details.get("license"):
        named = (path for path in model.file.parent.glob("*LICENSE*") if path.name in said)
        return f"{model.name}: {said}", next(named, None)
    with suppress(PackageNotFoundError):
        package = distribution("sr_kd")
        for file in package.files or ():
            if file.name == "LICENSE":
                return f"{model.name}: {package.metadata['License-Expression']}", Path(str(package.locate_file(file)))
    return f"{model.name}: that of sr_kd", None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
