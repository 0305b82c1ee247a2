"""Option files of classification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ...config.schema import TrainingRecipe, ValidationOptions
from ...config.section import PathText, Section


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


class LabeledValidation(ValidationOptions):
    """As `Validation`; top-1 accuracy in percent is what there is to measure."""

    metrics: Annotated[list[Literal["top1"]], Field(min_length=1)] = ["top1"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class ClassificationRecipe(TrainingRecipe):
    """A training option file for classification; there is no scale."""

    task: Literal["classification"] = "classification"
    scale: None = None
    train: LabeledTrainSet
    validation_sets: list[LabeledSet] = []
    val: LabeledValidation = LabeledValidation()
