"""Who teaches: a network's file, or a folder of finished answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.folders import image_files
from ..data.label_record import describe_file
from ..errors import SrKdError, UsageError
from ..images import read_header
from ..imaging.label import load_teacher
from ..imaging.upscaler import Upscaler
from ..networks.complexity import count_parameters


@dataclass(frozen=True)
class Teacher:
    """What a student learns from.

    Attributes:
        path: of its file or folder. sha256: of the file, or of the names and bytes in the folder.
        scale: of its answers.
        upscaler: the network; None of a folder.
        answers: image -> its finished answer; empty of a network.
    """

    path: Path
    sha256: str
    scale: int
    upscaler: Upscaler | None = None
    answers: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """0 where nobody knows."""
        known = self.upscaler is not None and self.upscaler.network is not None
        return count_parameters(self.upscaler.network) if known else 0  # type: ignore[union-attr,arg-type]


def open_teacher(name: str | Path, images: Sequence[Path], *, scale: int | None, device: str) -> Teacher:
    """The teacher of these images.

    Args:
        name: a network's file (ONNX, too), a shipped model's name, or a folder of answers, named as the images.

    Raises:
        UsageError: no teacher, a scale that it does not serve, images without an answer.
        SrKdError: an unreadable file.
    """
    folder = Path(name)
    if not folder.is_dir():
        upscaler, file = load_teacher(name, scale=scale, device=device)
        return Teacher(file, str(describe_file(file)["sha256"]), upscaler.scale, upscaler)
    there = {path.stem: path for path in image_files(folder)}
    missing = [path for path in images if path.stem not in there]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(images)} images have no answer in {folder}, such as {missing[0].name}"
        )
    answers = {path: there[path.stem] for path in images}
    listing = "".join(f"{path.name} {path.stat().st_size}\n" for path in sorted(there.values()))
    found = _scale_of(answers)
    if scale not in (None, found):
        raise UsageError(f"the answers in {folder} are x{found} of the images, not x{scale}")
    return Teacher(folder, hashlib.sha256(listing.encode()).hexdigest(), found, answers=answers)


def _scale_of(answers: Mapping[Path, Path]) -> int:
    """Of the first pair that can be read."""
    for image, answer in answers.items():
        try:
            small, large = read_header(image), read_header(answer)
        except SrKdError:
            continue
        scale = large.width // small.width
        if scale < 2 or (large.width, large.height) != (scale * small.width, scale * small.height):
            raise UsageError(
                f"{answer} has {large.width}x{large.height} pixels, no whole multiple of the {small.width}x"
                f"{small.height} of {image}: is it the answer to it?"
            )
        return scale
    raise UsageError("no image and its answer can be read")
