"""The one plug-in interface of every loss: reconstruction, imitation and distillation alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ..errors import UsageError
from .inputs import LossInputs, NetworkOutput, TapPair, TeacherTail
from .numerics import widen
from .shapes import match_size

__all__ = [
    "MIDDLE",
    "ComparedMaps",
    "Loss",
    "LossInputs",
    "NetworkOutput",
    "Position",
    "PretrainingObjective",
    "TapPair",
    "TeacherTail",
]

Position = tuple[float, float]  # of a position in a map, as shares of height and width
MIDDLE: Position = (0.5, 0.5)


@dataclass(frozen=True)
class ComparedMaps:
    """What a loss sees at one pair of taps, for people: maps that belong side by side, in one scale of values.

    Attributes:
        pair: the taps.
        title: what the maps are, and `text` how to read them.
        maps: caption -> map (N, H, W), detached.
        marked: whether they compare one position with all others.
    """

    pair: TapPair
    title: str
    text: str
    maps: Mapping[str, Tensor]
    marked: bool = False

    @classmethod
    def error(cls, pair: TapPair, predicted: Tensor, target: Tensor) -> ComparedMaps:
        """Mean over channels of |predicted - target|, both (N, C, H, W)."""
        text = "Mean over the channels of |predicted - teacher|."
        return cls(pair, "absolute error", text, {"error": (predicted - target).abs().mean(1).detach()})

    @classmethod
    def both(
        cls,
        pair: TapPair,
        title: str,
        text: str,
        function: Callable[[Tensor], Tensor],
        *features: Tensor,
        marked: bool = False,
    ) -> ComparedMaps:
        """A function (N, C, H, W) -> (N, H, W) of both maps, brought to one size, and the absolute difference."""
        student, teacher = (function(each).detach() for each in match_size(*map(widen, features)))
        maps = {"student": student, "teacher": teacher, "error": (student - teacher).abs()}
        return cls(pair, title, text, maps, marked)


@dataclass(frozen=True)
class PretrainingObjective:
    """What has to be trained before the student phase (FT's paraphraser, IE-KD's auto-encoder).

    Attributes:
        module: trained by the pre-training, then frozen and kept in eval mode.
        loss: inputs (only its teacher view is used) -> scalar.
        total_iter: length in iterations.
        learning_rate: Adam's, constant.
    """

    module: nn.Module
    loss: Callable[[LossInputs], Tensor]
    total_iter: int
    learning_rate: float


class Loss(nn.Module):
    """Base of all losses.

    A subclass creates its adapters in ``__init__`` from the pairs' channels and strides; trainable
    adapters are submodules, fixed random choices are buffers, so that both land in checkpoints. What is
    pre-trained is frozen from birth; a pre-training thaws it for its own time, and any call of
    `train` or `freeze` freezes it again.

    Attributes:
        terms: names of the scalars that it returns, for an option file that weighs them one by one.
        needs_pairs: the loss compares feature maps, so an option file must name its taps.
        needs_teacher_output: the loss looks at `inputs.teacher.output`.
        needs_teacher_tail: the loss continues from a teacher tap, which must be a cut.
        needs_forwards: the loss shows both networks other inputs than the batch.
        needs_compact: the loss looks at the compact feature of a privileged teacher in training.
        teacher_layers: the teacher taps at which the loss shows the teacher images of its own choice.
        shows_any_taps: its `maps` need nothing that is trained, so that they can be made of taps it does not compare.
        tasks: which tasks the loss serves; empty: every one whose networks have what it needs.
    """

    terms: tuple[str, ...] = ()
    needs_pairs: ClassVar[bool] = False
    needs_teacher_output: bool = False
    needs_teacher_tail: ClassVar[bool] = False
    needs_forwards: ClassVar[bool] = False
    needs_compact: ClassVar[bool] = False
    shows_any_taps: ClassVar[bool] = False
    tasks: ClassVar[tuple[str, ...]] = ()
    teacher_layers: Sequence[str] = ()

    def __init__(self, pairs: Sequence[TapPair] = ()) -> None:
        super().__init__()
        self.pairs = tuple(pairs)

    @classmethod
    def needs_teacher(cls, options: Mapping[str, Any]) -> bool:
        """Whether it learns from a teacher, built with these options; False where the trained network is enough."""
        return cls.needs_pairs or cls.compares_outputs()

    @classmethod
    def compares_outputs(cls) -> bool:
        """Whether it looks at what student and teacher put out, and not at feature maps alone."""
        return cls.needs_teacher_output or cls.needs_teacher_tail or cls.needs_forwards

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        """Unweighted named scalars, float32 or wider."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    def named_terms(self, name: str, inputs: LossInputs) -> dict[str, Tensor]:
        """What it returns, checked: ``<name>/<term>`` -> scalar.

        Raises:
            UsageError: not a dict of scalars, or others than `terms` names (if it names any).
        """
        found = self(inputs)
        terms = ", ".join(f"'{term}': value" for term in self.terms or [name.lower()])
        wanted = f"loss {name}: forward() must return a dict of scalar tensors, {{{terms}}}"
        if not isinstance(found, dict):
            raise UsageError(f"{wanted}; it returned a {type(found).__name__}")
        for term, value in found.items():
            if not isinstance(value, Tensor) or value.numel() != 1:
                shape = f"has the shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is {value!r}"
                raise UsageError(f"{wanted}; '{term}' {shape}")
        for term in found:
            if self.terms and term not in self.terms:
                raise UsageError(
                    f"loss {name} returns the term '{term}', which its 'terms' do not name: {self.terms!r}"
                )
        return {f"{name}/{term}": value for term, value in found.items()}

    def compared(self, inputs: LossInputs) -> Iterator[tuple[TapPair, Tensor, Tensor]]:
        """Every pair with the student's map and the teacher's (detached), each at its own size.

        Raises:
            UsageError: there is no teacher.
        """
        for pair in self.pairs:
            yield pair, inputs.trained.features[pair.student], inputs.required_teacher.features[pair.teacher].detach()

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """What the loss looks at, as maps; by default the error between feature maps of equal width.

        Args:
            inputs: as in `forward`; the student's output may be missing.
            place: of one position, for losses that compare it with all others.
        """
        for pair, student, teacher in self.compared(inputs):
            if student.ndim == 4 and student.shape[1] == teacher.shape[1]:
                yield ComparedMaps.error(pair, *match_size(student, teacher))

    def pretraining(self) -> PretrainingObjective | None:
        """What to train before the phase starts; None for most losses."""
        return None

    def freeze(self) -> None:
        """Put what was pre-trained in eval mode and take its gradients away."""
        objective = self.pretraining()
        if objective is not None:
            objective.module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, except that what was pre-trained stays frozen."""
        super().train(mode)
        self.freeze()
        return self

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimizer groups of the adapters that train with the student."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": parameters, "lr": learning_rate, "weight_decay": weight_decay}] if parameters else []

    def diagnostics(self) -> dict[str, Tensor]:
        """Detached scalars worth logging from the last forward (VID: mean error, mean scale)."""
        return {}
