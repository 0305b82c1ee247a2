"""Labeled images for classification: digits that need no download, CIFAR files, folders by class."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ...data.folders import image_files, natural_key
from ...data.image_set import eight_bit
from ...data.resize import imresize
from ...errors import SrKdError, UsageError, unknown_name
from ...images import read_image

PREFIX = "scikit-learn:"
DIGITS_FOR_TRAINING = 1000  # of 1,797, in the order of the file
CIFAR_SIDE = 32
Part = Literal["train", "test"]


@dataclass(frozen=True)
class LabeledImages:
    """Images of one size with their classes.

    Attributes:
        name: in logs and tables.
        images: (N, S, S, C) uint8, C = 1 or 3.
        labels: (N,) int64, class indices.
        classes: the classes' names.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def listing(self) -> list[str]:
        """A line for every class, with a digest of its images in their order."""
        lines = []
        for label, name in enumerate(self.classes):
            images = self.images[self.labels == label]
            digest = hashlib.blake2b(images.tobytes(), digest_size=16).hexdigest()
            lines.append(f"{name}: {len(images)} images, {digest}")
        return lines


def open_labeled(dataroot: str, part: Part, *, name: str | None = None, image_size: int | None = None) -> LabeledImages:
    """Read a set.

    Args:
        dataroot: "scikit-learn:digits" (8x8, gray; the first 1,000 are for training, the other 797 for
            testing), a folder of CIFAR-10 or CIFAR-100 in the binary version, or a folder with one
            sub-folder of images per class.
        part: of digits and CIFAR; a folder by class is taken whole.
        name: default: the folder's or set's.
        image_size: images of folders are cropped to their central square and resized to this side.

    Raises:
        UsageError: no such set, images of several sizes without an `image_size`, or one for digits or CIFAR.
        SrKdError: a file that cannot be read, or scikit-learn is missing.
    """
    folder = Path(dataroot).expanduser()
    embedded = dataroot.startswith(PREFIX)
    if not embedded and not folder.is_dir():
        raise UsageError(f"{folder} is no folder; the set that needs no download is called '{PREFIX}digits'")
    if not embedded and not any(folder.glob("*.bin")):
        return _folders(folder, name, image_size)
    if image_size is not None:
        raise UsageError(f"image_size is for folders of images; those of {dataroot} have their size: leave it out")
    return _digits(dataroot, part, name) if embedded else _cifar(folder, part, name)


def _digits(dataroot: str, part: Part, name: str | None) -> LabeledImages:
    if dataroot != f"{PREFIX}digits":
        raise unknown_name("embedded set", dataroot, [f"{PREFIX}digits"])
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SrKdError(
            f"the set '{dataroot}' needs the package scikit-learn: pip install 'sr_kd[classification]'"
        ) from None
    found = load_digits()
    chosen = slice(None, DIGITS_FOR_TRAINING) if part == "train" else slice(DIGITS_FOR_TRAINING, None)
    images = np.rint(found.images[chosen, :, :, None] * (255 / 16)).astype(np.uint8)
    return LabeledImages(name or "digits", images, found.target[chosen].astype(np.int64), tuple("0123456789"))


def _cifar(folder: Path, part: Part, name: str | None) -> LabeledImages:
    """The binary version: per image the label (CIFAR-100: coarse, then fine) and the planes R, G, B."""
    hundred = (folder / "train.bin").is_file()
    label_bytes = 2 if hundred else 1
    many = ["train.bin"] if hundred else [f"data_batch_{number}.bin" for number in range(1, 6)]
    files = [folder / file for file in (many if part == "train" else ["test.bin" if hundred else "test_batch.bin"])]
    length = label_bytes + 3 * CIFAR_SIDE**2
    rows = np.concatenate([_cifar_rows(file, length) for file in files])
    images = rows[:, label_bytes:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)
    listed = folder / ("fine_label_names.txt" if hundred else "batches.meta.txt")
    names = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    classes = tuple(names) or tuple(map(str, range(100 if hundred else 10)))
    labels = rows[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= len(classes):
        raise SrKdError(f"{folder}: label {labels.max()} in a set of {len(classes)} classes; the files are damaged")
    title = name or ("CIFAR-100" if hundred else "CIFAR-10")
    return LabeledImages(title, np.ascontiguousarray(images), labels, classes)


def _cifar_rows(file: Path, length: int) -> np.ndarray:
    try:
        content = np.fromfile(file, np.uint8)
    except OSError as error:
        raise SrKdError(f"cannot read {file}: {error.strerror}; take CIFAR's binary version") from None
    if not len(content) or len(content) % length:
        raise SrKdError(f"{file} has {len(content)} bytes, no multiple of {length}: it is damaged or no CIFAR file")
    return content.reshape(-1, length)


def _class_name(folder: Path) -> str:
    return unicodedata.normalize("NFC", folder.name)  # some systems write accents as marks of their own


def _folders(folder: Path, name: str | None, image_size: int | None) -> LabeledImages:
    classes = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: natural_key(_class_name(path)),
    )
    files = [(file, label) for label, path in enumerate(classes) for file in image_files(path)]
    empty = [path.name for path in classes if not image_files(path)]
    if len(classes) < 2 or empty:
        what = f"; no image in {', '.join(empty)}" if empty else ""
        raise UsageError(f"{folder} must have one sub-folder of images per class; found {len(classes)}{what}")
    images = [_fitted(eight_bit(read_image(file)), image_size) for file, _ in files]
    first = images[0].shape
    for (file, _), image in zip(files, images, strict=True):
        if image.shape != first or first[0] != first[1]:
            raise UsageError(
                f"images must be squares of one size and color; {file} is {_shape(image)}, {files[0][0]} "
                f"{_shape(images[0])}: set image_size"
            )
    labels = np.array([label for _, label in files], np.int64)
    return LabeledImages(name or folder.name, np.stack(images), labels, tuple(map(_class_name, classes)))


def _fitted(pixels: np.ndarray, side: int | None) -> np.ndarray:
    """8-bit pixels; with a `side`, RGB, the central square resized to it."""
    if side is None:
        return pixels
    height, width, channels = pixels.shape
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = pixels[top : top + short, left : left + short]
    square = np.repeat(square, 3, axis=2) if channels == 1 else square
    planes = torch.tensor(square).permute(2, 0, 1).float()
    return imresize(planes, (side, side), levels=255).permute(1, 2, 0).to(torch.uint8).numpy()


def _shape(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]} {'gray' if image.shape[2] == 1 else 'RGB'}"
