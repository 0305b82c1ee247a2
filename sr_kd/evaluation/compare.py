"""Scoring finished images against HR, whatever program made them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..data.folders import find_folder, image_files
from ..data.image_set import eight_bit
from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError, nearest
from ..images import read_image
from .benchmark import score_image
from .metrics import STANDARD, find_metrics
from .protocols import find_protocol, to_levels
from .scores import ImageScore, SetScore
from .threads import in_threads

# What may follow the HR name in the name of a finished image: x2, _out, -SR, " (1)"...
_SUFFIX = re.compile(r"(x\d+|[-_. (].*)", re.IGNORECASE)
_SHOWN = 3


def score_images(
    sr_files: Sequence[Path],
    image_set: ImageSet,
    *,
    protocol: str = "rgb8",
    metrics: Sequence[str] = STANDARD,
    quiet: bool = True,
) -> SetScore:
    """PSNR and SSIM, or the metrics asked for, of finished images, `scale` pixels cropped off each side.

    Args:
        sr_files: the image of every image of the set, see :func:`pair_by_name`. An image has the
            size of HR, whole or cut at the bottom and right to a multiple of the scale.
        image_set: the HR images.
        protocol: "rgb8", "basicsr" or "rgb".
        metrics: names in `evaluation.metrics.METRICS`.

    Raises:
        UsageError: an unknown protocol or metric, or one that finished images cannot be measured by.
        SrKdError: an unreadable image, or one of another size or with fewer channels than HR.
    """
    rule = find_protocol(protocol)
    if rule.luma_first:
        raise UsageError(f"protocol '{protocol}' needs the network, not finished 8-bit images; use 'rgb8'")
    find_metrics(metrics, rule.measures)

    def measure(index: int) -> ImageScore:
        with torch.inference_mode():
            hr = image_set.read_hr(index)
            sr = to_levels(_read_fitting(sr_files[index], hr, image_set, index))
            if sr.shape[0] > hr.shape[2]:
                sr = sr.mean(dim=0, keepdim=True)
            return score_image(image_set.names[index], sr, to_levels(hr), rule, image_set.scale, metrics)

    scores = in_threads(measure, range(len(image_set)), image_set.name, quiet)
    return SetScore(image_set.name, image_set.scale, rule.name, tuple(scores))


def find_images(folder: Path | str) -> list[Path]:
    """The images of a folder. Raises UsageError if there is no such folder, or no image in it."""
    return image_files(find_folder(str(folder), []))


def pair_by_name(names: Sequence[str], images: Sequence[Path]) -> list[Path]:
    """The finished image of every HR image, by name and never by position.

    ``baby.png``, ``babyx2.png`` and ``baby_out.png`` belong to ``baby``. Equal names come first; of
    several HR names that an image's name starts with, the longest counts.

    Raises:
        UsageError: HR images without an image, or with several.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    for path in images:
        owner = _owner(path.stem, names)
        if owner is not None:
            found[owner].append(path)
    for name, paths in found.items():
        found[name] = [path for path in paths if path.stem == name] or paths
    doubled = [name for name, paths in found.items() if len(paths) > 1]
    if doubled:
        raise UsageError(
            f"{len(doubled)} HR image(s) have several images, such as '{doubled[0]}': "
            f"{', '.join(path.name for path in found[doubled[0]][:_SHOWN])}; leave one of each in the folder"
        )
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        stems = [path.stem for path in images]
        shown = ", ".join(f"'{name}'{nearest(name, stems)}" for name in missing[:_SHOWN])
        raise UsageError(
            f"{len(missing)} of {len(names)} HR images have no image of that name: {shown}; "
            "an image is called NAME, NAMEx2 or NAME_anything"
        )
    return [found[name][0] for name in names]


def _owner(stem: str, names: Iterable[str]) -> str | None:
    """The HR name that an image's name is, or starts with before a suffix."""
    fitting = [name for name in names if stem.startswith(name)]
    fitting = [name for name in fitting if stem == name or _SUFFIX.fullmatch(stem[len(name) :])]
    return max(fitting, key=len, default=None)


def _read_fitting(file: Path, hr: np.ndarray, image_set: ImageSet, index: int) -> np.ndarray:
    """The image, cut to the size of `hr`."""
    sr = eight_bit(read_image(file))
    header = image_set.headers[index]
    height, width = hr.shape[:2]
    if sr.shape[:2] not in ((height, width), (header.height, header.width)):
        raise SrKdError(
            f"{file} is {sr.shape[1]}x{sr.shape[0]} pixels, but {image_set.hr[index]} at a multiple of scale "
            f"{image_set.scale} is {width}x{height}; is the scale right?"
        )
    if sr.shape[2] < hr.shape[2]:
        raise SrKdError(f"{file} has one channel, but {image_set.hr[index]} has three")
    return sr[:height, :width]
