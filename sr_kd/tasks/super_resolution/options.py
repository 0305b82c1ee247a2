"""Option files of super-resolution: image sets, training recipes and tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from ...config.schema import OptionFile, Paths, TrainingRecipe
from ...config.section import FolderName, ParamKey, PathText, Positive, Section


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


class SuperResolutionRecipe(TrainingRecipe):
    """A training option file for super-resolution."""

    scale: Annotated[int, Field(ge=2)]
    train: TrainSet
    validation_sets: list[EvaluationSet] = []


class TestRecipe(OptionFile):
    """A test option file: models by label (names or paths), and the sets to measure them on.

    `metrics`: names of registered metrics. `baseline`: the model that the others are compared with; default: the first.
    `param_key`: which weights of a file that holds averaged ones beside the others; default: the averaged.
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
