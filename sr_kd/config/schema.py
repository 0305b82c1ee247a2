"""The option-file schema: what a training or test recipe may say (frozen, unknown keys refused)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, PrivateAttr

from .datasets import EvaluationSet, LabeledSet, LabeledTrainSet, ShapesSet, ShapesTrainSet, TrainSet
from .origin import Origin
from .phase import NetworkOptions, Phase
from .section import FolderName, ParamKey, PathText, Section


class Validation(Section):
    """When to validate, and by what the best checkpoint is chosen (the first metric on the first set).

    Attributes:
        val_freq: iterations between validations.
        metrics: what is measured; the first one chooses.
        save_img: keep the validation's images.
    """

    val_freq: PositiveInt = 5000
    metrics: Annotated[list[Literal["psnr", "ssim"]], Field(min_length=1)] = ["psnr", "ssim"]
    save_img: bool = False


class LabeledValidation(Validation):
    """As `Validation`; top-1 accuracy in percent is what there is to measure."""

    metrics: Annotated[list[Literal["top1"]], Field(min_length=1)] = ["top1"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class DetectionValidation(Validation):
    """As `Validation`; mean average precision in percent over IoU 0.5 to 0.95, and at 0.5. The table has `metrics`."""

    metrics: Annotated[list[Literal["map", "map50"]], Field(min_length=1)] = ["map", "map50"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class Logger(Section):
    """How often to log and to save.

    Attributes:
        print_freq: iterations between log lines.
        save_checkpoint_freq: iterations between saved states.
        keep_checkpoints: how many regular states stay (0: all).
        use_tb_logger: write curves for TensorBoard.
    """

    print_freq: PositiveInt = 100
    save_checkpoint_freq: PositiveInt = 5000
    keep_checkpoints: Annotated[int, Field(ge=0)] = 3
    use_tb_logger: bool = True


class Paths(Section):
    """Where results go, relative to the working directory.

    Attributes:
        experiments_root: networks, states and logs, in a folder of the recipe's name.
        results_root: tables and images.
        tb_root: TensorBoard's curves.
    """

    experiments_root: PathText = "experiments"
    results_root: PathText = "results"
    tb_root: PathText = "tb_logger"


class OptionFile(Section):
    """A whole option file, which knows where its keys were written."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def origin(self) -> Origin:
        """The way back to file, line and key; empty for a recipe made in Python."""
        return self._origin

    def with_origin(self, origin: Origin) -> Self:
        """This option file, as read from there."""
        copy = self.model_copy()
        copy._origin = origin
        return copy


class TrainingRecipe(OptionFile):
    """A training option file of any task.

    Attributes:
        name: of the run and its folders.
        task: what is trained for.
        scale: upscaling factor, 2 or more (super-resolution only).
        seeds: every phase runs once for each.
        plugins: Python files, relative to this one, that register networks, losses or metrics.
        train: the training set.
        validation_sets: the sets to validate on.
        networks: label -> network; a phase makes its own copy.
        phases: label -> training run.
        arms: label in tables -> phase; default: the phases that nothing else needs.
        val: validation during the run.
        logger: logs and saved states.
        path: where results go.
    """

    name: FolderName
    task: Literal["super_resolution", "classification", "detection"] = "super_resolution"
    scale: int | None = None
    seeds: list[int] = [0]
    plugins: list[PathText] = []
    train: Section
    validation_sets: Sequence[Section] = []
    networks: dict[str, NetworkOptions]
    phases: dict[str, Phase]
    arms: dict[str, str] = {}
    val: Validation = Validation()
    logger: Logger = Logger()
    path: Paths = Paths()
    _plugin_digests: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def plugin_digests(self) -> dict[str, str]:
        """Plug-in as written -> SHA-256 of its file; empty for a recipe made in Python."""
        return self._plugin_digests

    def with_plugins(self, digests: dict[str, str]) -> Self:
        """This recipe, with these plug-ins loaded."""
        copy = self.model_copy()
        copy._plugin_digests = digests
        return copy

    def length(self, phase: str) -> int:
        """The phase's total_iter as a number, sums worked out (checked when the file is loaded)."""
        total = self.phases[phase].total_iter
        if isinstance(total, int):
            return total
        return sum(int(term) if term.isdecimal() else self.length(term) for term in map(str.strip, total.split("+")))


class SuperResolutionRecipe(TrainingRecipe):
    """A training option file for super-resolution."""

    scale: Annotated[int, Field(ge=2)]
    train: TrainSet
    validation_sets: list[EvaluationSet] = []


class ClassificationRecipe(TrainingRecipe):
    """A training option file for classification; there is no scale."""

    task: Literal["classification"] = "classification"
    scale: None = None
    train: LabeledTrainSet
    validation_sets: list[LabeledSet] = []
    val: LabeledValidation = LabeledValidation()


class DetectionRecipe(TrainingRecipe):
    """A training option file for detection; there is no scale."""

    task: Literal["detection"] = "detection"
    scale: None = None
    train: ShapesTrainSet
    validation_sets: list[ShapesSet] = []
    val: DetectionValidation = DetectionValidation()


class TestRecipe(OptionFile):
    """A test option file: models and the sets to measure them on.

    Attributes:
        name: of the folder for the results.
        scale: upscaling factor, 2 or more.
        plugins: Python files, relative to this one, that register networks or metrics.
        models: label in the table -> a shipped model's name, "bicubic" or a network's file.
        param_key: which weights of a file with averaged ones beside the others; default: the averaged.
        sets: the sets to measure on.
        save_img: keep the upscaled images.
        path: where results go.
    """

    __test__ = False  # for pytest, which would collect the name

    name: FolderName
    scale: Annotated[int, Field(ge=2)]
    plugins: list[PathText] = []
    models: dict[str, PathText]
    param_key: ParamKey | None = None
    sets: list[EvaluationSet]
    save_img: bool = False
    path: Paths = Paths()
