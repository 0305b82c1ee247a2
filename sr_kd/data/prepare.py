"""Making sets for training: LR images, sub-images and LMDBs, in parallel and resumable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import SrKdError, UsageError
from ..files import atomic_path, read_json, sweep_folder, write_text
from ..images import Header
from ..progress import progress_bar
from .image_set import ImageSet
from .lmdb import COMPRESSION, LmdbWriter, meta_line
from .parallel import parallel_map
from .resize import make_lr

_SETTINGS = "prepare.json"

Box = tuple[int, int, int, int]  # top, left, height, width in HR pixels


@dataclass(frozen=True)
class Preparation:
    """What is to be made of a set.

    The result is ``HR/NAME.png``, ``LR_bicubic/X2/NAMEx2.png`` for each scale, and ``meta_info.txt``; or,
    as LMDBs, ``HR.lmdb`` and ``LR_bicubic_X2.lmdb`` with the key NAME in each. HR is cropped to multiples
    of all scales. LR is made from the whole HR image (or taken from the set), then cut up with it.

    Attributes:
        images: the set, opened with the least common multiple of the scales.
        scales: of the LR images.
        output: the folder to fill.
        crop: side of the square sub-images in HR pixels, called ``NAME_s001``...; None: whole images.
        step: distance of neighboring sub-images.
        lmdb: write LMDBs.

    Raises:
        UsageError: a crop or step that is no multiple of every scale, or LR images for several scales.
    """

    images: ImageSet
    scales: tuple[int, ...]
    output: Path
    crop: int | None = None
    step: int = 240
    lmdb: bool = False

    def __post_init__(self) -> None:
        multiple = math.lcm(*self.scales)
        for option, value in (("crop", self.crop), ("step", self.step)):
            if self.crop is not None and (value is None or value < 1 or value % multiple):
                raise UsageError(f"the {option} of sub-images must be a multiple of {multiple}; found {value}")
        if self.images.lr is not None and len(self.scales) > 1:
            raise UsageError(f"LR images of one scale were given, and scales {', '.join(map(str, self.scales))}")

    def folders(self) -> dict[int, Path]:
        """Where the images go, by scale; 1 is HR."""
        if self.lmdb:
            names = {1: "HR.lmdb"} | {scale: f"LR_bicubic_X{scale}.lmdb" for scale in self.scales}
        else:
            names = {1: "HR"} | {scale: f"LR_bicubic/X{scale}" for scale in self.scales}
        return {scale: self.output / name for scale, name in names.items()}

    def boxes(self, index: int) -> dict[str, Box]:
        """The images to be made of one image, by name."""
        name = self.images.names[index]
        height, width = (int(side) * self.images.scale for side in self.images.lr_sizes[index])
        if self.crop is None:
            return {name: (0, 0, height, width)}
        tops, lefts = tile_starts(height, self.crop, self.step), tile_starts(width, self.crop, self.step)
        size = min(self.crop, height), min(self.crop, width)
        boxes = [(top, left, *size) for top in tops for left in lefts]
        return {f"{name}_s{number:03d}": box for number, box in enumerate(boxes, start=1)}


@dataclass(frozen=True)
class _Job:
    """One image's share of a preparation; `folders` is None where the PNG files are wanted back."""

    images: ImageSet
    scales: tuple[int, ...]
    boxes: Mapping[str, Box]
    folders: Mapping[int, Path] | None


def prepare(preparation: Preparation, *, workers: int, quiet: bool) -> int:
    """Make what is missing.

    Args:
        preparation: what to make.
        workers: processes; with 0 or 1 the work is done in this one.
        quiet: no progress bar.

    Returns:
        how many images of the set were worked on; 0: all was there.

    Raises:
        UsageError: the output folder was made of other images or with other options; a negative number of workers.
        SrKdError: an image that cannot be read, a folder that cannot be written, a process that died.
    """
    if workers < 0:
        raise UsageError(f"{workers} worker processes are impossible; it must be at least 0")
    for name in preparation.images.names:
        if len(f"{name}.png".splitlines()) > 1:
            raise UsageError(f"the image name {name!r} has a line break, which a list of images cannot hold: rename it")
    _check_settings(preparation)
    folders, images = preparation.folders(), preparation.images
    for folder in (preparation.output, *folders.values()):
        sweep_folder(folder)
    with ExitStack() as stack:
        writers = {
            scale: stack.enter_context(LmdbWriter(folder)) for scale, folder in folders.items() if preparation.lmdb
        }
        boxes = [preparation.boxes(index) for index in range(len(images))]
        left = _unfinished(boxes, folders, writers)
        bar = stack.enter_context(
            progress_bar(len(images), f"{images.name}: preparing", "image", quiet, initial=len(images) - len(left))
        )
        jobs = (
            _Job(images.only(index), preparation.scales, boxes[index], None if writers else folders) for index in left
        )
        for made in parallel_map(_make, jobs, workers):
            for scale, name, png in made:
                writers[scale].put(name, png)
            bar.update()
        entries = [
            (name, Header(height, width, images.pair_channels(index)))
            for index, named in enumerate(boxes)
            for name, (_, _, height, width) in named.items()
        ]
        for scale, writer in writers.items():
            writer.finish((name, Header(h.height // scale, h.width // scale, h.channels)) for name, h in entries)
    if not preparation.lmdb:
        if _unfinished(boxes, folders, {}):
            known = (preparation.output / _SETTINGS).is_file()
            again = "run the command again" if known else "remove what is left of it, and begin again"
            raise SrKdError(f"images in {preparation.output} were removed meanwhile: {again}")
        write_text(preparation.output / "meta_info.txt", "".join(f"{meta_line(*entry)}\n" for entry in entries))
    return len(left)


def tile_starts(length: int, crop: int, step: int) -> list[int]:
    """Where the sub-images of one axis begin: every `step`, and one that ends at the border."""
    if length <= crop:
        return [0]
    starts = list(range(0, length - crop + 1, step))
    return starts if starts[-1] + crop == length else [*starts, length - crop]


def encode_png(pixels: np.ndarray) -> bytes:
    """(H, W, C) uint8 as a PNG file, lightly compressed."""
    samples = np.ascontiguousarray(pixels[..., ::-1] if pixels.shape[2] == 3 else pixels)
    _, data = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
    return data.tobytes()


def _file_name(name: str, scale: int) -> str:
    return f"{name}.png" if scale == 1 else f"{name}x{scale}.png"


def _make(job: _Job) -> list[tuple[int, str, bytes]]:
    """Make the images of one image: write them, or return (scale, name, PNG file)."""
    if job.images.lr is None:
        hr = job.images.read_hr(0)
        whole = {1: hr} | {scale: make_lr(hr, scale) for scale in job.scales}
    else:
        pair = job.images.read(0)
        whole = {1: pair.hr, job.images.scale: pair.lr}
    made = []
    for scale, pixels in whole.items():
        for name, box in job.boxes.items():
            top, left, height, width = (side // scale for side in box)
            png = encode_png(pixels[top : top + height, left : left + width])
            if job.folders is None:
                made.append((scale, name, png))
                continue
            with atomic_path(job.folders[scale] / _file_name(name, scale)) as temporary:
                temporary.write_bytes(png)
    return made


def _unfinished(
    boxes: list[dict[str, Box]], folders: Mapping[int, Path], writers: Mapping[int, LmdbWriter]
) -> list[int]:
    """The images of which something is missing."""
    if writers:
        there = set.intersection(*(writer.names() for writer in writers.values()))
        return [index for index, named in enumerate(boxes) if not there.issuperset(named)]
    files = {s: {path.name for path in folder.glob("*.png")} for s, folder in folders.items()}
    return [
        index
        for index, named in enumerate(boxes)
        if not all(files[scale].issuperset(_file_name(name, scale) for name in named) for scale in folders)
    ]


def _check_settings(preparation: Preparation) -> None:
    """An interrupted preparation goes on with the same images and options, or not at all."""
    images = preparation.images
    settings = {
        "images": {name: [h.height, h.width] for name, h in zip(images.names, images.headers, strict=True)},
        "lr": None if images.lr is None else [str(image) for image in images.lr],
        "scales": list(preparation.scales),
        "crop": preparation.crop,
        "step": preparation.step if preparation.crop else None,
        "lmdb": preparation.lmdb,
    }
    file = preparation.output / _SETTINGS
    if file.is_file():
        try:
            found = read_json(file, dict[str, Any])
        except ValueError:
            found = {}
        differing = [key for key, value in settings.items() if found.get(key) != value]
        if differing:
            raise UsageError(
                f"{preparation.output} was prepared with other {', '.join(differing)} (see {file}): "
                "choose another folder, or remove it to start again"
            )
        return
    for folder in preparation.folders().values():
        if folder.exists():
            raise UsageError(f"{folder} is there already and was not made by `sr-kd prepare`; choose another folder")
    write_text(file, json.dumps(settings, ensure_ascii=False))
