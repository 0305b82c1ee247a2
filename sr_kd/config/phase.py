"""Networks, losses and phases of option files: what is trained, by what, for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, ValidationInfo, field_validator, model_validator

from .section import Compile, Decay, Fraction, NonNegative, ParamKey, PathText, Positive, Precision, Section, used_by


class NetworkOptions(Section):
    """A network: its type, its constructor's arguments (checked when it is built), its first weights.

    Attributes:
        type: a registered name, "file" for whatever a file holds, or "basicsr.NAME".
        init: first weights: "default", or another initialization that the network knows, such as "bicubic".
        path: trained weights to start from: a file, or a shipped model's name.
        strict_load: every weight must be in the file at `path`, in its shape; if not, the others stay new.
        param_key: which weights of a file with averaged ones beside the others; default: the averaged.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    init: str = "default"
    path: PathText | None = None
    strict_load: bool = True
    param_key: ParamKey | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments as written."""
        return dict(self.model_extra or {})


class Optimizer(Section):
    """Optimizer of a phase.

    Attributes:
        type: which one.
        lr: learning rate, BasicSR's key.
        weight_decay: as torch.optim has it.
        betas: decay of the running averages (not SGD).
        eps: added to a denominator (not SGD).
        momentum: of SGD.
        nesterov: SGD with Nesterov's momentum.
        precondition_freq: SOAP's steps between new bases.
    """

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
        return used_by(users.get(str(info.field_name), ("Adam", "AdamW", "SOAP")), value, info)

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("momentum") == 0:
            raise ValueError("false where momentum is 0")
        return value


class Scheduler(Section):
    """Learning rate as a closed-form function of the iteration.

    Attributes:
        type: constant; cosine, from lr to `eta_min` over the phase or over each of `periods`; multistep, times `gamma`
            at each of `milestones`; one_cycle, up to lr over `pct_start` of the phase, then down to lr / 1e4.
        eta_min: where cosine ends.
        periods: lengths of cosine's periods in iterations.
        restart_weights: factor of lr in each period; default: 1.
        milestones: iterations at which multistep falls.
        gamma: factor at each milestone.
        pct_start: part of the phase in which one_cycle rises.
    """

    type: Literal["constant", "cosine", "multistep", "one_cycle"] = "constant"
    eta_min: NonNegative = 0.0
    periods: list[PositiveInt] = []
    restart_weights: list[Positive] = []
    milestones: list[PositiveInt] = []
    gamma: Positive = 0.5
    pct_start: Fraction = 0.3

    @field_validator("eta_min", "periods", "restart_weights", "milestones", "gamma", "pct_start")
    @classmethod
    def _used(cls, value: Any, info: ValidationInfo) -> Any:
        users = dict.fromkeys(("eta_min", "periods", "restart_weights"), "cosine") | {"pct_start": "one_cycle"}
        return used_by((users.get(str(info.field_name), "multistep"),), value, info)

    @field_validator("restart_weights")
    @classmethod
    def _one_for_each_period(cls, value: list[float], info: ValidationInfo) -> list[float]:
        periods = info.data.get("periods", value)
        if value and len(value) != len(periods):
            raise ValueError(f"a list with one weight for each of the {len(periods)} 'periods'")
        return value

    @model_validator(mode="after")
    def _has_milestones(self) -> Self:
        if self.type == "multistep" and not self.milestones:
            raise ValueError("a mapping with 'milestones', the iterations at which a multistep rate falls")
        return self


class LossOptions(Section):
    """A loss: its type, weight, taps, and its constructor's options (checked when it is built).

    Attributes:
        type: a registered name.
        weight: factor in the sum of losses, or one factor for each named term.
        gradient_ratio: instead of a weight: the norm of its gradient at the student, relative to the first loss'.
        taps: the layers whose feature maps it compares: a name, or {student: name, teacher: name}.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    weight: NonNegative | dict[str, NonNegative] = 1.0
    gradient_ratio: Positive | None = None
    taps: list[str | dict[Literal["student", "teacher"], str]] = []

    @model_validator(mode="after")
    def _weight_or_gradient_ratio(self) -> Self:
        if self.gradient_ratio is not None and "weight" in self.model_fields_set:
            raise ValueError("a mapping with either 'weight' or 'gradient_ratio', which chooses the weight")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's options as written."""
        return dict(self.model_extra or {})

    def __str__(self) -> str:
        """In words: ``0.5 Response``, ``VID on expanding with a gradient_ratio of 0.1``."""
        taps = f" on {', '.join(map(_tap, self.taps))}" if self.taps else ""
        if self.gradient_ratio is not None:
            return f"{self.type}{taps} with a gradient_ratio of {self.gradient_ratio:g}"
        if isinstance(self.weight, float):
            return f"{self.weight:g} {self.type}{taps}"
        return f"({', '.join(f'{term} {weight:g}' for term, weight in self.weight.items())}) {self.type}{taps}"

    def reversed(self) -> Self:
        """The same loss with student and teacher taps exchanged."""
        other = {"student": "teacher", "teacher": "student"}
        taps = [tap if isinstance(tap, str) else {other[role]: name for role, name in tap.items()} for tap in self.taps]
        return self.model_copy(update={"taps": taps})


def _tap(tap: str | dict[Literal["student", "teacher"], str]) -> str:
    """A name that both networks have stands alone."""
    names = [tap] if isinstance(tap, str) else [tap.get("student", ""), tap.get("teacher", "")]
    return " and ".join(dict.fromkeys(filter(None, names)))


class Initialization(Section):
    """Weights taken from another phase's result.

    Attributes:
        source: the phase.
        part: of a privileged teacher, where not the whole network is taken.
        into: the part of a privileged teacher that gets them, where not the whole network does.
    """

    source: str = Field(alias="from")
    part: Literal["decoder", "encoder"] | None = None
    into: Literal["decoder", "encoder"] | None = None


class Phase(Section):
    """One training run of one network, with its own optimizer, schedule and length in iterations.

    Attributes:
        trains: the network.
        needs: phases that come first.
        teacher: the needed phase, or the network with a `path`, whose frozen result teaches.
        targets: "hr", or what the "teacher" makes of each LR image, whole and once, in place of HR.
        partner: a network that trains beside this one, each the other's teacher; the teacher's taps are the partner's.
        init: weights from another phase.
        total_iter: iterations: a number, or a sum of phases such as "teacher + student".
        optim: the optimizer.
        scheduler: the learning rate over the phase.
        warmup_iter: iterations in which the learning rate rises linearly, before `scheduler` alone decides.
        losses: their weighted sum is minimized; the first one is the task loss. Default: L1 alone.
        ema_decay: of averaged weights; 0: none are kept.
        gradient_clip: largest norm of the gradient; 0: no limit.
        accumulate: batches per step.
        precision: of the forward pass.
        teacher_precision: of the frozen teacher, where not `precision`.
        channels_last: memory order of images and feature maps.
        compile: use torch.compile, maybe in a mode.
        max_skipped_steps: a step whose gradient is NaN or Inf is left out; after so many in a row the run stops.
        find_unused_parameters: for several processes, of networks with layers that get no gradient.
    """

    trains: str
    needs: list[str] = []
    teacher: str | None = None
    targets: Literal["hr", "teacher"] = "hr"
    partner: str | None = None
    init: Initialization | None = None
    total_iter: PositiveInt | str
    optim: Optimizer = Optimizer()
    scheduler: Scheduler = Scheduler()
    warmup_iter: Annotated[int, Field(ge=0)] = 0
    losses: list[LossOptions] = [LossOptions(type="L1")]
    ema_decay: Decay = 0.0
    gradient_clip: NonNegative = 0.0
    accumulate: PositiveInt = 1
    max_skipped_steps: PositiveInt = 10
    find_unused_parameters: bool = False
    precision: Precision = "fp32"
    teacher_precision: Precision | None = None
    channels_last: bool = True
    compile: Compile = False
