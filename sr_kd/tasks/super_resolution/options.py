"""Option files of super-resolution: image sets, training recipes and tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveInt,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ...config.schema import OptionFile, Paths, TrainingRecipe
from ...config.section import FolderName, ParamKey, PathText, Positive, Section
from ...data.degradation import Degradation

_ONE_OR_SEVERAL = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class IOBackend(Section):
    """How a set is stored, BasicSR's key.

    Attributes:
        type: files, or LMDB folders under any name (``*.lmdb`` is recognized without it).
    """

    type: Literal["disk", "lmdb"] = "disk"


class ImageSetOptions(Section):
    """Where the images of a set are: HR alone (LR is made from it), HR and LR, or LR (with a teacher's labels of it).

    Attributes:
        name: what logs and tables call the set; default: its folder.
        dataroot_gt: HR: a folder, an LMDB folder (``*.lmdb``), "scikit-image:train" or "scikit-image:held_out";
            several make one set. Without HR: the labels that `sr-kd label` made of dataroot_lq.
        dataroot_lq: LR, of the same form; default: made from HR as MATLAB does.
        filename_tmpl: an LR name made of its HR name, such as "{}x2".
        meta_info_file: a list of the HR names to use, one a line, from the working directory or beside the option file.
        io_backend: how the set is stored.
    """

    name: FolderName | None = None
    dataroot_gt: Annotated[list[PathText] | None, _ONE_OR_SEVERAL] = None
    dataroot_lq: Annotated[list[PathText] | None, _ONE_OR_SEVERAL] = None
    filename_tmpl: str = "{}"
    meta_info_file: PathText | None = None
    io_backend: IOBackend = IOBackend()

    @field_validator("dataroot_gt", "dataroot_lq", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TrainSet(ImageSetOptions):
    """The training set and how patches are drawn from it. LR alone will do where a teacher's images are the targets.

    Attributes:
        gt_size: side of an HR patch, a multiple of the scale.
        batch_size_per_gpu: patches per step and process.
        use_hflip: flip patches at random.
        use_rot: turn patches by 90 degrees at random.
        num_worker_per_gpu: processes that read a set larger than `memory_budget`.
        memory_budget: GiB of decoded pixels kept in memory; larger sets are streamed.
        degradation: makes LR patches of HR patches at random, in place of bicubic; `{}` takes its defaults.
        fixed_batches: so many batches, the same in every phase, seed and run, are all that is seen, in random order;
            what a frozen teacher makes of them is kept in `experiments_root`/teacher_cache. 0: new patches all along.
    """

    gt_size: PositiveInt = 192
    batch_size_per_gpu: PositiveInt = 16
    use_hflip: bool = True
    use_rot: bool = True
    num_worker_per_gpu: Annotated[int, Field(ge=0)] = 2
    memory_budget: Positive = 8.0
    degradation: Degradation | None = None
    fixed_batches: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_images(self) -> TrainSet:
        if self.dataroot_gt is None and self.dataroot_lq is None:
            raise ValueError("a mapping with 'dataroot_gt': HR; or with 'dataroot_lq' alone, if a teacher answers")
        return self

    @field_validator("degradation")
    @classmethod
    def _makes_lr(cls, value: Degradation | None, info: ValidationInfo) -> Degradation | None:
        if value is not None and info.data.get("dataroot_lq") is not None:
            raise ValueError("left out beside 'dataroot_lq': it makes LR of HR")
        return value


class EvaluationSet(ImageSetOptions):
    """A validation or test set, always with HR, and the rule it is measured by.

    Attributes:
        protocol: which pixels are compared, and how (docs/evaluation.md).
    """

    dataroot_gt: Annotated[list[PathText], _ONE_OR_SEVERAL]
    protocol: Literal["rgb8", "yfloat", "basicsr", "rgb"] = "rgb8"


class SuperResolutionRecipe(TrainingRecipe):
    """A training option file for super-resolution."""

    scale: Annotated[int, Field(ge=2)]
    train: TrainSet
    validation_sets: list[EvaluationSet] = []


class TestRecipe(OptionFile):
    """A test option file: models and the sets to measure them on.

    Attributes:
        name: of the folder for the results.
        scale: upscaling factor, 2 or more.
        plugins: Python files, relative to this one, that register networks or metrics.
        models: label in the table -> a shipped model's name, "bicubic" or a network's file.
        param_key: which weights of a file with averaged ones beside the others; default: the averaged.
        sets: the sets to measure on.
        metrics: names of registered metrics.
        baseline: the model that the others are compared with; default: the first.
        save_img: keep the upscaled images.
        path: where results go.
    """

    __test__ = False  # for pytest, which would collect the name

    name: FolderName
    scale: Annotated[int, Field(ge=2)]
    plugins: list[PathText] = []
    models: dict[str, PathText]
    param_key: ParamKey | None = None
    baseline: str | None = None
    sets: list[EvaluationSet]
    metrics: Annotated[list[str], Field(min_length=1)] = ["psnr", "ssim"]
    save_img: bool = False
    path: Paths = Paths()
