"""The losses of a phase, from its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..config.phase import LossOptions, Phase
from ..config.schema import TrainingRecipe
from ..errors import UsageError, unknown_name
from ..losses.base import Loss, TapPair
from ..losses.build import LOSSES, build_loss
from ..networks.base import Network, Tap
from .seeding import seeded


@dataclass(frozen=True)
class WeightedLoss:
    """A loss of a phase.

    Attributes:
        loss: with its adapters.
        weight: of all its terms, or of each term by name.
        name: distinct within the phase: the type, numbered from the second on ("VID", "VID_2").
        gradient_ratio: of all its terms together, in place of a weight.
    """

    loss: Loss
    weight: float | dict[str, float]
    name: str
    gradient_ratio: float | None = None


@dataclass(frozen=True)
class PhaseLosses:
    """All losses of a phase, adapters included: those of its network and those of its partner (empty without one)."""

    student: list[WeightedLoss]
    partner: list[WeightedLoss]


def build_phase_losses(
    recipe: TrainingRecipe, phase: str, seed: int, student: Network, other: Network | None
) -> PhaseLosses:
    """The losses of a phase, in the order written; their adapters' first weights are a function of the seed.

    Args:
        student: the network that the phase trains.
        other: its frozen teacher, or its partner.

    Raises:
        UsageError: an unknown loss, option or tap, or a loss that needs a teacher where there is none.
    """
    options = recipe.phases[phase]
    with seeded(seed, f"{phase} losses"):
        losses = build_losses(options.losses, student, other)
    if options.partner is None or other is None:
        return PhaseLosses(losses, [])
    with seeded(seed, f"{phase} partner's losses"):
        return PhaseLosses(losses, build_losses([each.reversed() for each in options.losses], other, student))


def build_losses(options: Sequence[LossOptions], student: Network, teacher: Network | None) -> list[WeightedLoss]:
    """Losses with their weights and distinct names. Raises UsageError, as `build_phase_losses`."""
    kinds = [each.type for each in options]
    losses = []
    for index, each in enumerate(options):
        count = kinds[: index + 1].count(each.type)
        name = each.type if count == 1 else f"{each.type}_{count}"
        losses.append(WeightedLoss(build_loss_from(each, student, teacher), each.weight, name, each.gradient_ratio))
    return losses


def learns_from_teacher(phase: Phase) -> bool:
    """Whether a phase, as it is written, has a use for a teacher: its images or a loss."""
    return phase.targets == "teacher" or any(map(needs_teacher, phase.losses))


def needs_teacher(options: LossOptions) -> bool:
    """Whether a loss, as it is written, learns from a teacher."""
    return bool(options.taps) or LOSSES.get(options.type).needs_teacher(options.options)


def build_loss_from(options: LossOptions, student: Network, teacher: Network | None) -> Loss:
    """One loss for a student and (perhaps) a teacher. Raises UsageError, as `build_losses`."""
    if needs_teacher(options) and teacher is None:
        what = "compares taps with a teacher's" if options.taps else "needs a teacher"
        raise UsageError(f"loss {options.type} {what}, and this phase has none")
    pairs = [] if teacher is None else [_pair(tap, student, teacher) for tap in options.taps]
    keys = [pair.key for pair in pairs]
    for pair in pairs:
        if keys.count(pair.key) > 1:
            raise UsageError(f"loss {options.type} names the taps '{pair.student}' and '{pair.teacher}' twice")
    loss = build_loss(options.type, pairs, **options.options)
    if pairs and not loss.needs_pairs:
        raise UsageError(f"loss {options.type} compares no feature maps: remove 'taps'")
    if loss.needs_compact and not student.sees_hr:
        raise UsageError(f"loss {options.type} is for a phase that trains a PrivilegedTeacher")
    _check_weights(options, loss)
    _check_colors(options.type, loss, student, teacher)
    if teacher is not None:
        for layer in loss.teacher_layers:
            _tap(teacher, layer, "teacher's ")
        for pair in pairs if loss.needs_teacher_tail else ():
            _check_cut(options.type, pair, teacher)
    return loss


def _pair(written: str | Mapping[Literal["student", "teacher"], str], student: Network, teacher: Network) -> TapPair:
    """``"expanding"`` or ``{student: ..., teacher: ...}``; one given name stands for both."""
    if isinstance(written, str):
        ours = theirs = written
    else:
        ours = written.get("student") or written.get("teacher", "")
        theirs = written.get("teacher") or ours
    return TapPair(ours, theirs, _tap(student, ours), _tap(teacher, theirs, "teacher's "))


def _tap(network: Network, name: str, whose: str = "") -> Tap:
    if name not in network.taps:
        raise unknown_name(f"tap of the {whose}{type(network).__name__}", name, network.taps)
    return network.taps[name]


def _check_weights(options: LossOptions, loss: Loss) -> None:
    """A weight for each term, if not one for all."""
    if options.gradient_ratio is not None and not loss.terms:
        raise UsageError(
            f"loss {options.type} does not say which 'terms' it returns: give it a weight, not a gradient_ratio"
        )
    if not isinstance(options.weight, Mapping):
        return
    if not loss.terms:
        raise UsageError(f"loss {options.type} does not say which 'terms' it returns: give it one number as its weight")
    for given in options.weight:
        if given not in loss.terms:
            raise unknown_name(f"term in the weights of loss {options.type}", given, loss.terms)
    for term in loss.terms:
        if term not in options.weight:
            raise UsageError(f"loss {options.type} returns the term '{term}', which its weight mapping does not name")


def _check_colors(name: str, loss: Loss, student: Network, teacher: Network | None) -> None:
    """Luma can be made of RGB, not the other way round; features may be of different colors."""
    if teacher is None or student.color == teacher.color:
        return
    ours, theirs = student.color, teacher.color
    compares_images = loss.needs_teacher_output or loss.needs_teacher_tail
    if loss.needs_forwards or (compares_images and ours == "rgb") or (loss.teacher_layers and ours == "y"):
        raise UsageError(
            f"loss {name} compares images, and the student's are '{ours}', the teacher's '{theirs}': "
            "set the 'color' of one of them"
        )


def _check_cut(loss: str, pair: TapPair, teacher: Network) -> None:
    if not pair.teacher_tap.cut:
        cuts = [name for name, tap in teacher.taps.items() if tap.cut]
        raise UsageError(
            f"loss {loss} continues from the teacher's tap '{pair.teacher}', which does not carry everything "
            f"downstream; taps that do: {', '.join(cuts)}"
        )
