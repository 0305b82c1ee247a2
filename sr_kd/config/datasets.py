"""Image sets of option files, for training and for validation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from .section import FolderName, PathText, Positive, Section


class IOBackend(Section):
    """BasicSR's `io_backend`: "disk" or "lmdb"."""

    type: Literal["disk", "lmdb"] = "disk"


class ImageSet(Section):
    """Where the images of a set are: HR alone (LR is made from it), or HR and LR.

    `dataroot_gt` and `dataroot_lq` are folders, LMDB folders (``*.lmdb``), or one of the embedded sets
    "scikit-image:train" and "scikit-image:held_out"; several folders make one set.
    """

    name: FolderName | None = None
    dataroot_gt: list[PathText]
    dataroot_lq: list[PathText] | None = None
    filename_tmpl: str = "{}"
    meta_info_file: PathText | None = None
    io_backend: IOBackend = IOBackend()

    @field_validator("dataroot_gt", "dataroot_lq", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TrainSet(ImageSet):
    """The training set and how patches are drawn from it."""

    gt_size: PositiveInt = 192
    batch_size_per_gpu: PositiveInt = 16
    use_hflip: bool = True
    use_rot: bool = True
    num_worker_per_gpu: Annotated[int, Field(ge=0)] = 2
    memory_budget: Positive = 8.0  # GiB of decoded pixels kept in memory; larger sets are streamed


class EvaluationSet(ImageSet):
    """A validation or test set and the rule it is measured by."""

    protocol: Literal["rgb8", "yfloat", "basicsr", "rgb"] = "rgb8"


class LabeledSet(Section):
    """A set of labeled images, for classification.

    `dataroot` is "scikit-learn:digits", a folder of CIFAR files (binary version), or a folder with one
    sub-folder of images per class; of the first two, `datasets.val` is the test part. `image_size`:
    images of folders are cropped to a square and resized to this side.
    """

    name: str | None = None
    dataroot: PathText
    image_size: PositiveInt | None = None


class LabeledTrainSet(LabeledSet):
    """The training set of a classification and how images are drawn from it."""

    batch_size_per_gpu: PositiveInt = 128
    use_hflip: bool = False
    shift: Annotated[int, Field(ge=0)] = 0  # pixels to each side


class ShapesSet(Section):
    """A set of generated images of shapes, for detection; `datasets.val` is drawn apart from the training set.

    `images`: how many; `image_size`: their side; `seed`: which ones.
    """

    name: str | None = None
    dataroot: Literal["sr_kd:shapes"]
    images: PositiveInt = 200
    image_size: Annotated[int, Field(ge=32)] = 64
    seed: Annotated[int, Field(ge=0)] = 0


class ShapesTrainSet(ShapesSet):
    """The training set of a detection and how images are drawn from it."""

    images: PositiveInt = 800
    batch_size_per_gpu: PositiveInt = 16
    use_hflip: bool = True
