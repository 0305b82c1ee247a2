"""What a folder of a teacher's answers (``sr-kd label``) says of itself: whose they are, and to which images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import SrKdError, UsageError
from ..files import file_sha256, read_json, write_text
from .stored import ImageFile, StoredImage

FILE = "labels.json"


@dataclass(frozen=True)
class LabelRecord:
    """The content of ``labels.json``.

    Attributes:
        teacher: the name of its file. teacher_sha256: of the file.
        scale: of the labels over the images.
        precision: of the teacher's arithmetic.
        tile: side of the tiles in LR pixels; None: chosen for the device, 0: none.
        images: name -> bytes and SHA-256 of the image's file.
    """

    teacher: str
    teacher_sha256: str
    scale: int
    precision: str
    tile: int | None = None
    images: dict[str, dict[str, int | str]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """As ``labels.json`` of the folder."""
        write_text(folder / FILE, json.dumps(asdict(self), indent=2))

    def check_same(self, other: LabelRecord, folder: Path) -> None:
        """Refuse answers of another teacher, or made in another way, with a UsageError."""
        for key, found in asdict(replace(other, images={})).items():
            wanted = getattr(self, key)
            if key not in ("teacher", "images") and found != wanted:
                what = "are of another teacher" if key == "teacher_sha256" else f"have another {key}"
                values = (other.teacher, self.teacher) if key == "teacher_sha256" else (found, wanted)
                raise UsageError(f"the labels in {folder} {what} ({values[0]}, not {values[1]}): name another folder")


def read_record(folder: Path) -> LabelRecord | None:
    """The record of a folder; None where it has none. Raises SrKdError for a damaged one."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        record: LabelRecord = read_json(path, LabelRecord)
        return record
    except (OSError, ValueError):
        raise SrKdError(f"{path} is damaged: remove the folder and label the images again") from None


def describe_file(path: Path) -> dict[str, int | str]:
    """Bytes and SHA-256 of an image's file."""
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def check_labels(folder: Path, labels: Sequence[StoredImage], lr: Sequence[StoredImage] | None, scale: int) -> None:
    """Refuse to train on a teacher's answers with other images than they belong to; other folders pass.

    Args:
        folder: named as HR.
        labels: the images in it.
        lr: the images named as LR; None: none were.

    Raises:
        UsageError: no LR images, another scale, images that were changed or have no label yet.
    """
    record = read_record(folder)
    if record is None:
        return
    again = f"run sr-kd label -n {record.teacher} -i FOLDER -o {folder} again"
    if lr is None:
        raise UsageError(f"{folder} holds the answers of {record.teacher}: name the images it saw as dataroot_lq")
    if record.scale != scale:
        raise UsageError(f"the labels in {folder} are x{record.scale} of their images, and the scale is {scale}")
    there = {image.name for image in labels}
    missing = [image for image in lr if image.name not in there]
    if missing:
        raise UsageError(f"{len(missing)} of {len(lr)} images have no label in {folder}, such as {missing[0]}: {again}")
    for image in lr:
        known = record.images.get(image.name)
        if known is not None and isinstance(image, ImageFile) and image.path.stat().st_size != known.get("bytes"):
            raise UsageError(f"{image} was changed since it was labeled in {folder}: {again}")
