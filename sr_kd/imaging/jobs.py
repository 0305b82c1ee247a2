"""Which files are upscaled, and where each result goes; everything is refused here, before any work."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from ..data.image import FORMATS, SPECIAL, SUFFIXES, is_special, output_format
from ..errors import UsageError, nearest
from ..files import check_folder


@dataclass(frozen=True)
class Job:
    """One image to read and the file its result goes to."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Naming:
    """How results are named.

    Attributes:
        suffix: "x2" turns ``photo.png`` into ``photo_x2.png``; empty: the same name.
        ext: "auto" (the input's format, PNG where it cannot be written), or "png", "jpg"...
    """

    suffix: str = ""
    ext: str = "auto"

    def __post_init__(self) -> None:
        if any(character in self.suffix for character in "/\\\0"):
            raise UsageError(f"--suffix {self.suffix!r} is part of a file name, no path: leave out '/' and the like")
        if self.ext != "auto":
            output_format(f".{self.ext}")

    def name(self, source: Path) -> str:
        """The file name of an image's result."""
        kept = source.suffix if source.suffix.lower() in FORMATS else ".png"
        ending = kept if self.ext == "auto" else f".{self.ext}"
        return f"{source.stem}{'_' if self.suffix else ''}{self.suffix}{ending}"


@dataclass(frozen=True)
class _Found:
    """An image and its folder relative to what the user named."""

    source: Path
    folder: Path
    scanned: bool  # met in a folder, not named by the user


def plan_jobs(
    inputs: Sequence[str],
    output: str,
    naming: Naming,
    *,
    listed: Iterable[str] = (),
    skip_existing: bool = False,
) -> list[Job]:
    """Every image to upscale with the file it goes to, sorted.

    Args:
        inputs: files, folders (searched recursively, the tree is mirrored) and glob patterns.
        output: a folder, or for a single image a file name.
        naming: of the results.
        listed: more files and folders, such as the lines of standard input; missing ones are left
            for the run to report.
        skip_existing: results of an earlier run beside their images are no inputs.

    Raises:
        UsageError: nothing found, two results of one name, or a result that would overwrite an input.
    """
    folder = Path(output)
    found = [item for name in inputs for item in _find(name, folder)]
    for name in listed:
        found.extend(_walk(Path(name), folder) if Path(name).is_dir() else [_Found(Path(name), Path(), False)])
    found = list({os.path.realpath(item.source): item for item in reversed(found)}.values())[::-1]
    if not found:
        raise UsageError(f"no images in {', '.join(inputs) or 'the list'}; known suffixes: {_suffixes()}")
    if _names_a_file(folder, naming):
        if len(found) > 1:
            raise UsageError(f"{len(found)} images cannot all go into the file {output}: name a folder with -o")
        jobs = [Job(found[0].source, folder)]
    else:
        jobs = [Job(item.source, folder / item.folder / naming.name(item.source)) for item in found]
    if skip_existing:
        results = {os.path.realpath(job.target) for job in jobs}
        scanned = {item.source for item in found if item.scanned}
        jobs = [job for job in jobs if job.source not in scanned or os.path.realpath(job.source) not in results]
    _refuse_conflicts(jobs, naming)
    return jobs


def _names_a_file(output: Path, naming: Naming) -> bool:
    if output.is_dir():
        return False
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES and (not suffix or suffix not in PIL.Image.registered_extensions()):
        check_folder(output, "-o")
        return False
    check_folder(output.parent, "-o")
    output_format(output.suffix)
    if naming != Naming():
        raise UsageError(f"--suffix and --ext do not go with an output file ({output}): name a folder with -o")
    return True


def _refuse_conflicts(jobs: Sequence[Job], naming: Naming) -> None:
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    targets: dict[str, Job] = {}
    for job in jobs:
        place = os.path.realpath(job.target)
        if place in sources:
            raise UsageError(
                f"the result of {job.source} would overwrite the input {sources[place]}: "
                f"choose another folder with -o, or a --suffix; if that is an earlier result, add --skip-existing"
            )
        other = targets.setdefault(place, job)
        if other is not job:
            raise UsageError(
                f"{other.source} and {job.source} would both be written to {job.target}: "
                f"{_cure(other.source, job.source, naming)}upscale them separately, each into another folder"
            )


def _cure(one: Path, other: Path, naming: Naming) -> str:
    """How two images could still be upscaled together; nothing where that is not possible."""
    kept = replace(naming, ext="auto")
    if one.name == other.name:
        return "give their common folder to -i, whose subfolders are kept, or "
    return "keep their formats apart with --ext auto, or " if kept.name(one) != kept.name(other) else ""


def _find(name: str, output: Path) -> list[_Found]:
    """What one input stands for. Raises UsageError if there is nothing."""
    path = Path(name)
    if path.is_dir():
        return list(_walk(path, output))
    if is_special(path):
        raise UsageError(f"{name} cannot be upscaled: {SPECIAL}")
    if path.exists():
        return [_Found(path, Path(), False)]
    if not glob.has_magic(name):
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UsageError(f"no such file or folder: {name}{nearest(path.name, beside)}")
    root = Path(*_plain_parts(path))
    images = list(_walk(root, output, str(path.relative_to(root))))
    if not images:
        raise UsageError(f"no images match {name}; known suffixes: {_suffixes()}")
    return images


def _walk(root: Path, output: Path, pattern: str = "**/*") -> Iterator[_Found]:
    """The images below a folder, sorted, without hidden files and what lies in a nested output folder."""
    nested = _below(output, root)
    for path in sorted(root.glob(pattern)):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.suffix.lower() not in SUFFIXES or hidden or (nested and _below(path, output)):
            continue
        # A link that leads nowhere is an image that is lost: the run reports it.
        if path.is_file() or (path.is_symlink() and not path.exists()):
            yield _Found(path, inner.parent, True)


def _plain_parts(pattern: Path) -> list[str]:
    """The leading parts of a pattern that hold no wildcard."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return parts


def _below(path: Path, folder: Path) -> bool:
    """Whether a path lies somewhere inside a folder (the folder itself does not)."""
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
