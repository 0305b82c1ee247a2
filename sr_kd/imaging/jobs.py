"""Which files are upscaled, and where each result goes; everything is refused here, before any work."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from ..errors import UsageError, nearest
from ..files import check_folder
from ..images import FORMATS, NOT_READ, SPECIAL, SUFFIXES, is_special, output_format
from ..images.formats import names_a_format


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
    names_a_file = _names_a_file(output, naming)
    if not found:
        raise UsageError(f"no images in {', '.join(inputs) or 'the list'}{_others(inputs, output)}")
    if names_a_file:
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


def count_not_read(inputs: Sequence[str], output: str) -> Counter[str]:
    """How many images of other formats `plan_jobs` passes over in the folders and patterns named, by suffix."""
    folders = (_pattern(Path(name)) for name in inputs if not Path(name).is_file())
    found = {os.path.realpath(path) for root, pattern in folders for path in _tree(root, Path(output), pattern)}
    return Counter(sorted(kind for path in found if (kind := _kind_not_read(Path(path)))))


def _kind_not_read(path: Path) -> str | None:
    """The suffix of another format; of a file without one, its content tells whether it is an image."""
    if path.suffix:
        return path.suffix.lower() if path.suffix.lower() in NOT_READ else None
    try:
        with (path if path.is_file() else Path(os.devnull)).open(
            "rb"
        ) as file:  # of a pipe, reading might wait for ever
            return "without a suffix" if names_a_format(file.read(16)) else None
    except OSError:
        return None


def _names_a_file(output: str, naming: Naming) -> bool:
    path = Path(output)
    if output == "-":
        raise UsageError("-o -: results do not go to standard output; name a file or a folder")
    if path.is_dir():
        return False
    suffix, folder = path.suffix.lower(), output.endswith(("/", os.sep))
    known = suffix in SUFFIXES or suffix in NOT_READ or suffix in PIL.Image.registered_extensions()
    meant = nearest(suffix, SUFFIXES)
    if folder or not suffix or not (known or meant):
        check_folder(path, "-o")
        return False
    if suffix not in FORMATS:
        raise UsageError(
            f"-o {output}: cannot write '{path.suffix}' files{meant}; use one of {', '.join(sorted(FORMATS))} "
            f"(a folder of that name: -o {output}/)"
        )
    check_folder(path.parent, "-o")
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
    if path.is_symlink():
        raise UsageError(f"{name} is a link to {path.readlink()}, which is not there")
    if not glob.has_magic(name):
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UsageError(f"no such file or folder: {name}{nearest(path.name, beside)}")
    images = list(_walk(path, output))
    if not images:
        raise UsageError(f"no images match {name}{_others([name], str(output))}")
    return images


def _walk(path: Path, output: Path) -> Iterator[_Found]:
    """The images below a folder, or those that match a pattern."""
    root, pattern = _pattern(path)
    for file in _tree(root, output, pattern):
        # A link that leads nowhere is an image that is lost: the run reports it.
        lost = file.is_symlink() and not file.exists()
        if file.is_dir() or (file.suffix.lower() in SUFFIXES and (file.is_file() or lost)):
            yield _Found(file, file.parent.relative_to(root) if file != root else Path(), True)


def _tree(root: Path, output: Path, pattern: tuple[str, ...]) -> list[Path]:
    """What lies below a folder and matches, sorted, but for hidden files and what lies in a nested output folder.

    Links to folders are followed, after all that is no link; a folder that was met already is left out.
    """
    found, seen = [], set[str]()
    left_out = os.path.realpath(output) if _below(output, root) else None
    folders: deque[tuple[Path, tuple[str, ...]]] = deque([(root, ())])
    while folders:
        folder, inner = folders.popleft()
        place = os.path.realpath(folder)
        if place in seen or place == left_out:
            continue
        seen.add(place)
        try:
            entries = list(folder.iterdir())
        except OSError:  # what lies there is lost: the run reports it
            found.append(folder)
            continue
        for path in entries:
            if path.name.startswith("."):
                continue
            parts = (*inner, path.name)
            if not path.is_dir():
                found += [path] * _matches(parts, pattern)
            elif "**" in pattern or len(parts) < len(pattern):
                add = folders.append if path.is_symlink() else folders.appendleft
                add((path, parts))
    return sorted(found)


def _pattern(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder where a search begins, and the pattern of what lies below: everything, for a folder."""
    if path.is_dir():
        return path, ("**",)
    begin = next((index for index, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts) - 1)
    return Path(*path.parts[:begin]), path.parts[begin:]


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether names of folders and a file match a pattern's; ``**`` stands for any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _below(path: Path, folder: Path) -> bool:
    """Whether a path lies somewhere inside a folder (the folder itself does not)."""
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents


def _others(inputs: Sequence[str], output: str) -> str:
    """What to say where there is no image: which suffixes count, and which were met that do not."""
    met = ", ".join(f"{count} {suffix}" for suffix, count in count_not_read(inputs, output).items())
    return f"; known suffixes: {', '.join(sorted(SUFFIXES))}" + (f" (found, but not read: {met})" if met else "")
