"""The option-file schema: what a training or test recipe may say (frozen, unknown keys refused)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .origin import Origin

Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Precision = Literal["fp32", "bf16", "fp16"]
Compile = Literal[False, True, "reduce-overhead", "max-autotune"]


def is_folder_name(name: str) -> bool:
    """Whether files can go into a folder of this name, here and on other systems, and nowhere else."""
    return bool(name.strip()) and name not in (".", "..") and not any(c in "/\\" or not c.isprintable() for c in name)


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise ValueError("a plain name, because folders are called after it, without '/'")
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]


def _path_text(path: str) -> str:
    if not path.strip():
        raise ValueError("a path (that of the current folder is '.')")
    return path


PathText = Annotated[str, AfterValidator(_path_text)]


class Section(BaseModel):
    """A mapping of the option file in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would read ``true`` as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation not in (
            bool,
            Literal[False],
            Compile,
        ):
            raise ValueError("a value other than true and false")
        return value


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


class LabelledSet(Section):
    """A set of labelled images, for classification.

    `dataroot` is "scikit-learn:digits", a folder of CIFAR files (binary version), or a folder with one
    sub-folder of images per class; of the first two, `datasets.val` is the test part. `image_size`:
    images of folders are cropped to a square and resized to this side.
    """

    name: str | None = None
    dataroot: PathText
    image_size: PositiveInt | None = None


class LabelledTrainSet(LabelledSet):
    """The training set of a classification and how images are drawn from it."""

    batch_size_per_gpu: PositiveInt = 128
    use_hflip: bool = False
    shift: Annotated[int, Field(ge=0)] = 0  # pixels to each side


class ShapesSet(Section):
    """A set of generated pictures of shapes, for detection; `datasets.val` is drawn apart from the training set.

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


class NetworkOptions(Section):
    """A network: its type, its constructor's arguments (checked when it is built), its first weights."""

    model_config = ConfigDict(extra="allow")

    type: str
    init: str = "default"
    path: PathText | None = None  # trained weights to start from, or a shipped model's name

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments as written."""
        return dict(self.model_extra or {})


def _used_by(types: tuple[str, ...], value: Any, info: ValidationInfo) -> Any:
    """Refuse an option that was written, and that a section of this type would not look at."""
    if info.data.get("type", types[0]) not in types:
        *others, last = types
        raise ValueError(f"left out: it is an option of {', '.join(others) + ' and ' if others else ''}{last}")
    return value


class Optimiser(Section):
    """Optimiser of a phase. `lr` is the learning rate, BasicSR's key."""

    type: Literal["Adam", "AdamW", "SGD", "SOAP"] = "Adam"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: Positive = 1e-8
    momentum: Fraction = 0.9
    nesterov: bool = False
    precondition_freq: PositiveInt = 10

    @field_validator("betas", "eps", "momentum", "nesterov", "precondition_freq")
    @classmethod
    def _used(cls, value: Any, info: ValidationInfo) -> Any:
        users = {"momentum": ("SGD",), "nesterov": ("SGD",), "precondition_freq": ("SOAP",)}
        return _used_by(users.get(str(info.field_name), ("Adam", "AdamW", "SOAP")), value, info)

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("momentum") == 0:
            raise ValueError("false where momentum is 0")
        return value


class Scheduler(Section):
    """Learning rate as a closed-form function of the iteration.

    constant; cosine from lr to eta_min over the phase; multistep: times `gamma` at each milestone;
    one_cycle: up to lr over `pct_start` of the phase, then down to lr / 1e4.
    """

    type: Literal["constant", "cosine", "multistep", "one_cycle"] = "constant"
    eta_min: NonNegative = 0.0
    milestones: list[PositiveInt] = []
    gamma: Positive = 0.5
    pct_start: Fraction = 0.3

    @field_validator("eta_min", "milestones", "gamma", "pct_start")
    @classmethod
    def _used(cls, value: Any, info: ValidationInfo) -> Any:
        users = {"eta_min": "cosine", "pct_start": "one_cycle"}
        return _used_by((users.get(str(info.field_name), "multistep"),), value, info)

    @model_validator(mode="after")
    def _has_milestones(self) -> Self:
        if self.type == "multistep" and not self.milestones:
            raise ValueError("a mapping with 'milestones', the iterations at which a multistep rate falls")
        return self


class LossOptions(Section):
    """A loss: its type, weight, taps, and its constructor's options (checked when it is built).

    Instead of a weight, `pull`: the norm of its gradient at the student, relative to the first loss'.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    weight: NonNegative | dict[str, NonNegative] = 1.0
    pull: Positive | None = None
    taps: list[str | dict[Literal["student", "teacher"], str]] = []

    @field_validator("pull")
    @classmethod
    def _instead_of_weight(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("weight") != 1.0:
            raise ValueError("left out where there is a weight: it chooses the weight")
        return value

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's options as written."""
        return dict(self.model_extra or {})

    def reversed(self) -> Self:
        """The same loss with student and teacher taps exchanged."""
        other = {"student": "teacher", "teacher": "student"}
        taps = [tap if isinstance(tap, str) else {other[role]: name for role, name in tap.items()} for tap in self.taps]
        return self.model_copy(update={"taps": taps})


class Initialisation(Section):
    """Weights taken from another phase's result.

    `part`: "decoder" or "encoder" of a teacher, where not the whole network is taken; `into`: the part of a teacher
    that gets them, where not the whole network is given new weights.
    """

    source: str = Field(alias="from")
    part: Literal["decoder", "encoder"] | None = None
    into: Literal["decoder", "encoder"] | None = None


class Phase(Section):
    """One training run of one network, with its own optimiser, schedule and length in iterations.

    `needs` names phases that come first; `teacher` the needed phase (or the network with a `path`)
    whose frozen result teaches; `partner` a network that trains beside this one, each the other's teacher
    (in `taps`, the teacher's are the partner's). `total_iter` is a number or a sum of phases ("teacher + student").
    `teacher_precision`: of the frozen teacher, where not `precision`. `compile`: by torch.compile, maybe in a mode.
    """

    trains: str
    needs: list[str] = []
    teacher: str | None = None
    partner: str | None = None
    init: Initialisation | None = None
    total_iter: PositiveInt | str
    optim: Optimiser = Optimiser()
    scheduler: Scheduler = Scheduler()
    warmup_iter: Annotated[int, Field(ge=0)] = 0
    losses: list[LossOptions] = [LossOptions(type="L1")]
    ema_decay: Decay = 0.0
    gradient_clip: NonNegative = 0.0
    accumulate: PositiveInt = 1
    precision: Precision = "fp32"
    teacher_precision: Precision | None = None
    channels_last: bool = True
    compile: Compile = False


class Validation(Section):
    """When to validate, and by what the best checkpoint is chosen (the first metric on the first set)."""

    val_freq: PositiveInt = 5000
    metrics: Annotated[list[Literal["psnr", "ssim"]], Field(min_length=1)] = ["psnr", "ssim"]
    save_img: bool = False


class LabelledValidation(Validation):
    """As `Validation`; top-1 accuracy in percent is what there is to measure."""

    metrics: Annotated[list[Literal["top1"]], Field(min_length=1)] = ["top1"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class DetectionValidation(Validation):
    """As `Validation`; mean average precision in percent over IoU 0.5 to 0.95, and at 0.5. The table has `metrics`."""

    metrics: Annotated[list[Literal["map", "map50"]], Field(min_length=1)] = ["map", "map50"]  # type: ignore[assignment]
    save_img: Literal[False] = False


class Logger(Section):
    """How often to log and to save. `keep_checkpoints`: how many regular states stay (0: all)."""

    print_freq: PositiveInt = 100
    save_checkpoint_freq: PositiveInt = 5000
    keep_checkpoints: Annotated[int, Field(ge=0)] = 3
    use_tb_logger: bool = True


class Paths(Section):
    """Where results go, relative to the working directory."""

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
    """A training option file of any task. `arms`: label in tables -> phase; default: the phases nothing else needs."""

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

    def length(self, phase: str) -> int:
        """The phase's total_iter as a number, sums worked out (checked when the file is loaded)."""
        total = self.phases[phase].total_iter
        if isinstance(total, int):
            return total
        return sum(int(term) if term.isdecimal() else self.length(term) for term in map(str.strip, total.split("+")))


class Recipe(TrainingRecipe):
    """A training option file for super-resolution."""

    scale: Annotated[int, Field(ge=2)] = 2
    train: TrainSet
    validation_sets: list[EvaluationSet] = []


class ClassificationRecipe(TrainingRecipe):
    """A training option file for classification; there is no scale."""

    task: Literal["classification"] = "classification"
    scale: None = None
    train: LabelledTrainSet
    validation_sets: list[LabelledSet] = []
    val: LabelledValidation = LabelledValidation()


class DetectionRecipe(TrainingRecipe):
    """A training option file for detection; there is no scale."""

    task: Literal["detection"] = "detection"
    scale: None = None
    train: ShapesTrainSet
    validation_sets: list[ShapesSet] = []
    val: DetectionValidation = DetectionValidation()


class TestRecipe(OptionFile):
    """A test option file: models by label (names or paths), and the sets to measure them on."""

    __test__ = False  # for pytest, which would collect the name

    name: FolderName
    scale: Annotated[int, Field(ge=2)] = 2
    models: dict[str, PathText]
    sets: list[EvaluationSet]
    save_img: bool = False
    path: Paths = Paths()
