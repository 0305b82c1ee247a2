"""Option files of detection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ...config.schema import TrainingRecipe, ValidationOptions
from ...config.section import Section


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


class DetectionValidation(ValidationOptions):
    """As `Validation`; mean average precision in percent over IoU 0.5 to 0.95, and at 0.5. The table has `metrics`."""

    metrics: Annotated[list[Literal["map", "map50"]], Field(min_length=1)] = ["map", "map50"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class DetectionRecipe(TrainingRecipe):
    """A training option file for detection; there is no scale."""

    task: Literal["detection"] = "detection"
    scale: None = None
    train: ShapesTrainSet
    validation_sets: list[ShapesSet] = []
    val: DetectionValidation = DetectionValidation()
