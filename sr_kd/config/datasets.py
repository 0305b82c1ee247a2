"""Image sets of option files, for training and for validation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, WithJsonSchema, field_validator

from .section import FolderName, PathText, Positive, Section

_ONE_OR_SEVERAL = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class IOBackend(Section):
    """How a set is stored, BasicSR's key.

    Attributes:
        type: files, or LMDB folders under any name (``*.lmdb`` is recognized without it).
    """

    type: Literal["disk", "lmdb"] = "disk"


class ImageSet(Section):
    """Where the images of a set are: HR alone (LR is made from it), or HR and LR.

    Attributes:
        name: what logs and tables call the set; default: its folder.
        dataroot_gt: HR: a folder, an LMDB folder (``*.lmdb``), "scikit-image:train" or "scikit-image:held_out";
            several make one set.
        dataroot_lq: LR, of the same form; default: made from HR as MATLAB does.
        filename_tmpl: an LR name made of its HR name, such as "{}x2".
        meta_info_file: a list of the HR names to use, one a line, from the working directory or beside the option file.
        io_backend: how the set is stored.
    """

    name: FolderName | None = None
    dataroot_gt: Annotated[list[PathText], _ONE_OR_SEVERAL]
    dataroot_lq: Annotated[list[PathText] | None, _ONE_OR_SEVERAL] = None
    filename_tmpl: str = "{}"
    meta_info_file: PathText | None = None
    io_backend: IOBackend = IOBackend()

    @field_validator("dataroot_gt", "dataroot_lq", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TrainSet(ImageSet):
    """The training set and how patches are drawn from it.

    Attributes:
        gt_size: side of an HR patch, a multiple of the scale.
        batch_size_per_gpu: patches per step and process.
        use_hflip: flip patches at random.
        use_rot: turn patches by 90 degrees at random.
        num_worker_per_gpu: processes that read a set larger than `memory_budget`.
        memory_budget: GiB of decoded pixels kept in memory; larger sets are streamed.
    """

    gt_size: PositiveInt = 192
    batch_size_per_gpu: PositiveInt = 16
    use_hflip: bool = True
    use_rot: bool = True
    num_worker_per_gpu: Annotated[int, Field(ge=0)] = 2
    memory_budget: Positive = 8.0


class EvaluationSet(ImageSet):
    """A validation or test set and the rule it is measured by.

    Attributes:
        protocol: which pixels are compared, and how (docs/evaluation.md).
    """

    protocol: Literal["rgb8", "yfloat", "basicsr", "rgb"] = "rgb8"


class LabeledSet(Section):
    """A set of labeled images, for classification.

    Attributes:
        name: what logs and tables call the set; default: its folder.
        dataroot: "scikit-learn:digits", a folder of CIFAR files (binary version), or a folder with one sub-folder of
            images per class; of the first two, `datasets.val` is the test part.
        image_size: images of folders are cropped to a square and resized to this side.
    """

    name: str | None = None
    dataroot: PathText
    image_size: PositiveInt | None = None


class LabeledTrainSet(LabeledSet):
    """The training set of a classification and how images are drawn from it.

    Attributes:
        batch_size_per_gpu: images per step and process.
        use_hflip: flip images at random.
        shift: move images at random by up to so many pixels to each side.
    """

    batch_size_per_gpu: PositiveInt = 128
    use_hflip: bool = False
    shift: Annotated[int, Field(ge=0)] = 0


class ShapesSet(Section):
    """A set of generated images of shapes, for detection; `datasets.val` is drawn apart from the training set.

    Attributes:
        name: what logs and tables call the set.
        dataroot: the generator.
        images: how many.
        image_size: their side in pixels.
        seed: which ones.
    """

    name: str | None = None
    dataroot: Literal["sr_kd:shapes"]
    images: PositiveInt = 200
    image_size: Annotated[int, Field(ge=32)] = 64
    seed: Annotated[int, Field(ge=0)] = 0


class ShapesTrainSet(ShapesSet):
    """The training set of a detection and how images are drawn from it.

    Attributes:
        batch_size_per_gpu: images per step and process.
        use_hflip: flip images at random.
    """

    images: PositiveInt = 800
    batch_size_per_gpu: PositiveInt = 16
    use_hflip: bool = True
