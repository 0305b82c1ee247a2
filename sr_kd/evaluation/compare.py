"""Scoring finished pictures against HR, whatever program made them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from ..data.folders import find_folder, image_files
from ..data.image import read_image
from ..data.image_set import eight_bit
from ..data.resize import mod_crop
from ..data.sets import set_name
from ..errors import SrKdError, UsageError, nearest
from ..progress import progress_bar
from .benchmark import score_image
from .protocols import Protocol, find_protocol, to_levels
from .scores import ImageScore, SetScore

# What may follow the HR name in the name of a finished picture: x2, _out, -SR, " (1)"...
_SUFFIX = re.compile(r"(x\d+|[-_. (].*)", re.IGNORECASE)
_SHOWN = 3


@dataclass(frozen=True)
class Comparison:
    """The score of a folder of pictures, and the pictures that belong to no HR image."""

    score: SetScore
    unused: tuple[Path, ...]


def compare_folders(
    sr: Path | str, hr: Path | str, *, scale: int, protocol: str = "rgb8", quiet: bool = True
) -> Comparison:
    """PSNR and SSIM of finished pictures.

    Args:
        sr: a folder of pictures; ``NAME``, ``NAMEx2``, ``NAME_out`` all belong to the HR image ``NAME``.
        hr: the folder of HR images (or one that holds ``HR``).
        scale: how many pixels are cropped off each side; HR may be larger by the remainder of its
            size divided by `scale`, which is cut off at the bottom and right.
        protocol: "rgb8", "basicsr" or "rgb".

    Raises:
        UsageError: a missing folder, HR images without a picture, an unknown protocol.
        SrKdError: an unreadable picture, or one of another size than its HR image.
    """
    rule = find_protocol(protocol)
    if rule.luma_first:
        raise UsageError(f"protocol '{protocol}' needs the network, not finished 8-bit pictures; use 'rgb8'")
    sr_files, hr_files = (image_files(find_folder(str(folder), ["HR", "GT", "GTmod*", "*_HR"])) for folder in (sr, hr))
    partners = pair_by_name({path.stem: path for path in hr_files}, sr_files)

    def measure(file: Path) -> ImageScore:
        with torch.inference_mode():
            return _score_file(partners[file.stem], file, rule, scale)

    scores = []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        with progress_bar(len(hr_files), set_name(str(hr)), "image", quiet) as bar:
            for score in pool.map(measure, hr_files):
                scores.append(score)
                bar.update()
    unused = tuple(path for path in sr_files if path not in set(partners.values()))
    return Comparison(SetScore(set_name(str(hr)), scale, rule.name, tuple(scores)), unused)


def pair_by_name(hr: Mapping[str, Path], sr: Sequence[Path]) -> dict[str, Path]:
    """The finished picture of every HR image, by name and never by position.

    Equal names come first; of several HR names that a picture's name starts with, the longest counts.

    Raises:
        UsageError: HR images without a picture, or with several.
    """
    found: dict[str, list[Path]] = {name: [] for name in hr}
    for path in sr:
        owner = _owner(path.stem, hr)
        if owner is not None:
            found[owner].append(path)
    for name, paths in found.items():
        exact = [path for path in paths if path.stem == name]
        found[name] = exact or paths
    doubled = [(name, paths) for name, paths in found.items() if len(paths) > 1]
    if doubled:
        name, paths = doubled[0]
        raise UsageError(
            f"{len(doubled)} HR image(s) have several pictures, such as {hr[name].name}: "
            f"{', '.join(path.name for path in paths[:_SHOWN])}; keep one of each in the folder"
        )
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        stems = [path.stem for path in sr]
        shown = ", ".join(f"{hr[name].name}{nearest(name, stems)}" for name in missing[:_SHOWN])
        raise UsageError(f"{len(missing)} of {len(hr)} HR images have no picture of that name: {shown}")
    return {name: paths[0] for name, paths in found.items()}


def _owner(stem: str, names: Mapping[str, Path]) -> str | None:
    """The HR name that a picture's name is, or starts with before a suffix."""
    if stem in names:
        return stem
    fitting = [name for name in names if stem.startswith(name) and _SUFFIX.fullmatch(stem[len(name) :])]
    return max(fitting, key=len, default=None)


def _score_file(sr_file: Path, hr_file: Path, protocol: Protocol, scale: int) -> ImageScore:
    """Compare two files."""
    sr, hr = (eight_bit(read_image(file)) for file in (sr_file, hr_file))
    if sr.shape[:2] != hr.shape[:2]:
        hr = mod_crop(hr, scale)
    if sr.shape[:2] != hr.shape[:2]:
        raise SrKdError(
            f"{sr_file} is {sr.shape[1]}x{sr.shape[0]} pixels, but {hr_file.name} at a multiple of scale {scale} "
            f"is {hr.shape[1]}x{hr.shape[0]}; is the scale right?"
        )
    sr_levels, hr_levels = to_levels(sr).float(), to_levels(hr)
    if sr.shape[2] < hr.shape[2]:
        raise SrKdError(f"{sr_file} has one channel, but {hr_file.name} has three")
    if sr.shape[2] > hr.shape[2]:
        sr_levels = sr_levels.mean(dim=0, keepdim=True)
    return score_image(hr_file.stem, sr_levels, hr_levels, protocol, scale)
