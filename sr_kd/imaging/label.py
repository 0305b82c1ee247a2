"""A teacher's answers to a folder of images, computed once and kept: what students train on, with or without HR."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..data.label_record import FILE, LabelRecord, describe_file, read_record
from ..data.pairing import by_name
from ..data.prepare import encode_png
from ..data.sets import lr_images
from ..data.stored import ImageFile
from ..device import wait_for
from ..errors import SrKdError, UsageError
from ..files import check_folder, claim, is_temporary, real_path, sweep_folder
from ..images import Header, read_image
from ..networks.base import SRNetwork
from ..zoo.manifest import shipped_models
from .folder import Outcome, upscale_files
from .jobs import Job
from .load import find_network
from .onnx_teacher import load_onnx_teacher
from .runner import RunPrecision
from .upscaler import Upscaler

logger = logging.getLogger(__name__)
SMALLEST = 16  # side of an image in pixels that a teacher can be asked about
PROBE = 96  # side of the cutting that is measured
LARGEST_DIFFERENCE = 1  # of 255 gray levels, up to which half precision costs nothing


@dataclass(frozen=True)
class Labeling:
    """What is to be labeled: made by `plan_labels`, which has refused what is impossible.

    Attributes:
        upscaler: the teacher.
        folder: where the labels go. record: what is written beside them.
        jobs: every image with its label's file. headers: of the images, None where one cannot be read.
        missing: jobs that are not done.
    """

    upscaler: Upscaler
    folder: Path
    record: LabelRecord
    jobs: tuple[Job, ...]
    headers: tuple[Header | None, ...]
    missing: tuple[Job, ...]

    @property
    def pixels(self) -> int:
        """LR pixels that are still to be labeled."""
        left = set(self.missing)
        sizes = zip(self.jobs, self.headers, strict=True)
        return sum(header.height * header.width for job, header in sizes if header is not None and job in left)


@dataclass(frozen=True)
class Cost:
    """What labeling takes, told from a cutting of the first image: seconds and bytes, both estimates."""

    seconds: float
    size: float


def load_teacher(
    name: str | Path,
    *,
    scale: int | None = None,
    device: str | torch.device = "auto",
    tile: int | None = None,
    precision: RunPrecision = "fp32",
) -> tuple[Upscaler, Path]:
    """The teacher and its file; arguments and errors as in `load_model`.

    Raises:
        UsageError: "bicubic", which is no network.
    """
    network: SRNetwork | None
    if Path(name).suffix.lower() == ".onnx":
        label, network = Path(name).name, load_onnx_teacher(Path(name))
    else:
        label, network = find_network(name, scale)
    if network is None:
        raise UsageError(f"'{name}' is an interpolation, not a network: nothing can be learned from it")
    if scale is None and len(network.scales) > 1:
        raise UsageError(f"{name} serves x{', x'.join(map(str, network.scales))}: choose one with -s")
    upscaler = Upscaler(network, scale=scale, device=device, tile=tile, precision=precision, name=label)
    shipped = shipped_models().get(str(name))
    return upscaler, Path(name) if shipped is None else shipped.file


def plan_labels(
    teacher: str | Path,
    images: str,
    folder: Path,
    *,
    scale: int | None = None,
    device: str | torch.device = "auto",
    tile: int | None = None,
    precision: RunPrecision | None = None,
) -> Labeling:
    """Everything that can be refused, before any work.

    Args:
        teacher, scale, device, tile: as in `load_model`.
        images: a folder of images, as `dataroot_lq` of a training set.
        folder: where the labels go; those that are there stay.
        precision: default: what the labels there have; half precision on CUDA where it changes nothing that can be
            seen; else fp32.

    Raises:
        UsageError: no network, no images, images that are too small, labels of another teacher.
        SrKdError: an unreadable image or teacher.
    """
    found = [image for image in lr_images(images, scale or 0) if isinstance(image, ImageFile)]
    if not found:
        raise UsageError(f"{images} is an LMDB; label a folder of image files")
    by_name(found)
    headers = [_header(image) for image in found]
    small = [image for image, header in zip(found, headers, strict=True) if header is not None and _is_small(header)]
    if small:
        raise UsageError(
            f"{len(small)} of {len(found)} images are too small to be labeled, such as {small[0]}: "
            f"their sides must be {SMALLEST} pixels or more"
        )
    if real_path(folder) == real_path(found[0].path.parent):
        raise UsageError(f"-o {folder} is the folder of the images themselves: name another one")
    check_folder(folder, "-o")
    upscaler, file = load_teacher(teacher, scale=scale, device=device, tile=tile, precision=precision or "fp32")
    before = read_record(folder)
    if before is None and folder.is_dir() and not all(map(is_temporary, folder.iterdir())):
        raise UsageError(f"-o {folder} holds other files, and no labels: name another folder")
    if precision is None:
        precision = before.precision if before else _free_precision(upscaler, found[0].path)  # type: ignore[assignment]
        if precision != "fp32":
            upscaler, file = load_teacher(teacher, scale=scale, device=device, tile=tile, precision=precision)  # type: ignore[arg-type]
    known = {image.name: describe_file(image.path) for image in found}
    sha256 = str(describe_file(file)["sha256"])
    record = LabelRecord(file.name, sha256, upscaler.scale, str(precision), tile, known)
    jobs = tuple(Job(image.path, folder / f"{image.name}.png") for image in found)
    missing = jobs
    if before is not None:
        record.check_same(before, folder)
        same = [before.images.get(image.name) == known[image.name] for image in found]
        missing = tuple(job for job, kept in zip(jobs, same, strict=True) if not (kept and job.target.is_file()))
        record = replace(record, images={**before.images, **known})
    return Labeling(upscaler, folder, record, jobs, tuple(headers), missing)


def measure_cost(labeling: Labeling) -> Cost:
    """Ask the teacher about a cutting of the first image that has no label; nothing where all have one.

    Raises:
        SrKdError: a disk that has no room for them.
    """
    if not labeling.missing:
        return Cost(0.0, 0.0)
    source = labeling.missing[0].source
    cutting, seconds = _cutting(source), time_per_pixel(labeling.upscaler, source)
    size = len(encode_png(labeling.upscaler.upscale(cutting))) / (cutting.shape[0] * cutting.shape[1])
    needed, folder = size * labeling.pixels, labeling.folder
    free = shutil.disk_usage(next(place for place in (folder, *real_path(folder).parents) if place.exists())).free
    if needed > free:
        raise SrKdError(
            f"the labels take about {needed / 1e6:,.1f} MB, and the disk of {folder} has {free / 1e6:,.1f} MB free: "
            "make room, or name another folder with -o"
        )
    return Cost(seconds * labeling.pixels, needed)


def make_labels(
    labeling: Labeling, *, quiet: bool = False, report: Callable[[Outcome], None] | None = None
) -> list[Outcome]:
    """Ask the teacher about every image that has no label yet; one outcome for each of these.

    A label appears whole or not at all, so that a run that was killed goes on with the next image.

    Args:
        report: called with every outcome as soon as it is known.

    Raises:
        SrKdError: the disk is full; the labels that are written stay. Another process labels into the folder.
    """

    def finish(outcome: Outcome) -> None:
        if outcome.error and os.strerror(errno.ENOSPC) in outcome.error:
            raise SrKdError(f"{outcome.error}; make room and run the same command again: what is labeled stays")
        if report is not None:
            report(outcome)

    quiet, folder = quiet or not labeling.missing, labeling.folder
    with claim(folder / FILE) as alone:
        if not alone:
            raise SrKdError(f"another process is labeling into {folder}: wait for it, stop it, or name another folder")
        for job in labeling.missing:
            job.target.unlink(missing_ok=True)  # of an image that has changed
        labeling.record.write(folder)
        sweep_folder(folder)
        return upscale_files(labeling.upscaler, labeling.missing, quiet=quiet, report=finish, title="label")


def time_per_pixel(upscaler: Upscaler, path: Path) -> float:
    """Seconds that a model takes for a pixel of the middle of an image."""
    cutting = _cutting(path)
    upscaler.upscale(cutting)
    began = time.perf_counter()
    upscaler.upscale(cutting)
    wait_for(upscaler.device)
    return (time.perf_counter() - began) / (cutting.shape[0] * cutting.shape[1])


def _cutting(path: Path) -> np.ndarray:
    """The middle of an image, (h, w, C)."""
    pixels = read_image(path).pixels
    top, left = (max(0, (side - PROBE) // 2) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + PROBE, left : left + PROBE])


def _header(image: ImageFile) -> Header | None:
    try:
        return image.header()
    except SrKdError:
        return None  # one that cannot be read fails alone, later


def _is_small(header: Header) -> bool:
    return min(header.height, header.width) < SMALLEST


def _free_precision(upscaler: Upscaler, path: Path) -> str:
    """Half precision where it is faster (on CUDA) and no pixel of a cutting differs by more than a gray level."""
    if upscaler.device.type != "cuda":
        return "fp32"
    cutting = _cutting(path)
    peak = 255 if cutting.dtype == np.uint8 else 65535
    half = Upscaler(upscaler.network, device=upscaler.device, tile=upscaler.tile, precision="fp16")
    answers = [each.upscale(cutting).astype(np.float64) * 255 / peak for each in (upscaler, half)]
    return "fp16" if half.precision == "fp16" and np.ptp(answers, axis=0).max() <= LARGEST_DIFFERENCE else "fp32"
