"""Networks, losses and image sets from their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from ..data.labeled import LabeledImages, Part, open_labeled
from ..data.sets import ImageSet, open_set
from ..data.shapes import DetectionImages, make_shapes
from ..data.shapes import Part as ShapesPart
from ..errors import UsageError, nearest, unknown_name
from ..losses.base import Loss, TapPair
from ..losses.build import build_loss
from ..networks.base import Tap
from ..networks.build import NETWORKS, build_network
from ..networks.files import load_network, load_weights
from ..networks.teacher import PrivilegedTeacher
from ..signature import accepted
from ..zoo.manifest import shipped_models
from .datasets import EvaluationSet, LabeledSet, LabeledTrainSet, ShapesSet, ShapesTrainSet
from .datasets import ImageSet as SetOptions
from .phase import LossOptions, NetworkOptions
from .schema import SuperResolutionRecipe, TrainingRecipe

FROM_FILE = "file"


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


def build_network_from(options: NetworkOptions, scale: int | None) -> nn.Module:
    """A network with its initial weights; trained ones are loaded by `load_trained`.

    Args:
        options: the recipe's; parts with a `type` of their own (a teacher's) are built with it. The type
            "file" is whatever network the file at `path` holds.
        scale: given to networks that take it, unless their options say otherwise; None where there is none.

    Raises:
        UsageError: an unknown network, argument or initialization. SrKdError: an unreadable file.
    """
    arguments = options.arguments
    if options.type == FROM_FILE:
        return _from_file(options, scale)
    composed = any(isinstance(value, Mapping) and "type" in value for value in arguments.values())
    takes_scale = composed or "scale" in accepted(NETWORKS.get(options.type))
    if scale is not None and "scales" not in arguments and takes_scale:
        arguments.setdefault("scale", scale)
    return build_network(options.type, init=options.init, **arguments)


def load_trained(network: nn.Module, options: NetworkOptions) -> None:
    """Load the weights at `path`, if the options name any. Raises SrKdError if they do not fit."""
    if options.path is not None and options.type != FROM_FILE:
        load_weights(network, _weights_file(options.path), key=options.param_key)


def _from_file(options: NetworkOptions, scale: int | None) -> nn.Module:
    arguments = options.arguments
    taps = arguments.pop("taps", [])
    if options.path is None:
        raise UsageError("a network of type 'file' needs the option 'path'")
    if arguments or options.init != "default":
        raise UsageError("a network of type 'file' has no options but 'path' and 'taps'")
    return load_network(_weights_file(options.path), scale=scale, taps=taps, key=options.param_key).network


def _weights_file(path: str) -> Path:
    """A file, or that of a shipped model."""
    models = shipped_models()
    if path in models:
        return models[path].verified_file()
    if not Path(path).exists():
        known = ", ".join(models) or "none"
        raise UsageError(f"no file and no shipped model is called '{path}'{nearest(path, models)}; models: {known}")
    return Path(path)


def build_losses(
    recipe: TrainingRecipe,
    phase: str,
    student: nn.Module,
    teacher: nn.Module | None = None,
    *,
    reverse: bool = False,
) -> list[WeightedLoss]:
    """The losses of a phase, adapters included, in the order written.

    Args:
        student: the network that the phase trains.
        teacher: the frozen one, if the phase has one.
        reverse: inputs the roles of the taps, for the partner that the phase's network teaches.

    Raises:
        UsageError: an unknown loss, option or tap, or a loss that needs a teacher where there is none.
    """
    found: dict[str, int] = {}
    losses = []
    for options in recipe.phases[phase].losses:
        found[options.type] = count = found.get(options.type, 0) + 1
        name = options.type if count == 1 else f"{options.type}_{count}"
        chosen = options.reversed() if reverse else options
        losses.append(
            WeightedLoss(build_loss_from(chosen, student, teacher), options.weight, name, options.gradient_ratio)
        )
    return losses


def build_loss_from(options: LossOptions, student: nn.Module, teacher: nn.Module | None) -> Loss:
    """One loss for a student and (perhaps) a teacher. Raises UsageError, as `build_losses`."""
    if options.taps and teacher is None:
        raise UsageError(f"loss {options.type} compares taps with a teacher's, and this phase has no teacher")
    pairs = [] if teacher is None else [_pair(tap, student, teacher) for tap in options.taps]
    keys = [pair.key for pair in pairs]
    for pair in pairs:
        if keys.count(pair.key) > 1:
            raise UsageError(f"loss {options.type} names the taps '{pair.student}' and '{pair.teacher}' twice")
    loss = build_loss(options.type, pairs, **options.options)
    if pairs and not loss.needs_pairs:
        raise UsageError(f"loss {options.type} compares no feature maps: remove 'taps'")
    if loss.needs_teacher and teacher is None:
        raise UsageError(f"loss {options.type} needs a teacher, and this phase has none")
    if loss.needs_compact and not isinstance(student, PrivilegedTeacher):
        raise UsageError(f"loss {options.type} is for a phase that trains a PrivilegedTeacher")
    _check_weights(options, loss)
    _check_colors(options.type, loss, student, teacher)
    if loss.needs_teacher_tail:
        for pair in pairs:
            _check_cut(options.type, pair, teacher)
    return loss


def open_training_set(recipe: SuperResolutionRecipe) -> ImageSet:
    """The training images. Raises UsageError and SrKdError, as `data.sets.open_set`."""
    return _open(recipe.train, recipe.scale)


def open_evaluation_set(options: EvaluationSet, scale: int) -> ImageSet:
    """A validation or test set. Raises UsageError and SrKdError, as `data.sets.open_set`."""
    return _open(options, scale)


def open_labeled_set(options: LabeledSet) -> LabeledImages:
    """A set of labeled images. Raises UsageError and SrKdError, as `data.labeled.open_labeled`."""
    part: Part = "train" if isinstance(options, LabeledTrainSet) else "test"
    return open_labeled(options.dataroot, part, name=options.name, image_size=options.image_size)


def open_shapes(options: ShapesSet) -> DetectionImages:
    """A generated set for detection."""
    part: ShapesPart = "train" if isinstance(options, ShapesTrainSet) else "test"
    return make_shapes(part, options.images, options.image_size, seed=options.seed, name=options.name)


def _open(options: SetOptions, scale: int) -> ImageSet:
    return open_set(
        options.dataroot_gt,
        scale=scale,
        dataroot_lq=options.dataroot_lq,
        filename_tmpl=options.filename_tmpl,
        meta_info_file=options.meta_info_file,
        lmdb=options.io_backend.type == "lmdb",
        name=options.name,
    )


def _pair(
    written: str | Mapping[Literal["student", "teacher"], str], student: nn.Module, teacher: nn.Module
) -> TapPair:
    """``"expanding"`` or ``{student: ..., teacher: ...}``; one given name stands for both."""
    if isinstance(written, str):
        ours = theirs = written
    else:
        ours = written.get("student") or written.get("teacher", "")
        theirs = written.get("teacher") or ours
    return TapPair(ours, theirs, _tap(student, ours), _tap(teacher, theirs, "teacher's "))


def _tap(network: nn.Module, name: str, whose: str = "") -> Tap:
    taps: Mapping[str, Tap] = getattr(network, "taps", {})
    if name not in taps:
        raise unknown_name(f"tap of the {whose}{type(network).__name__}", name, taps)
    return taps[name]


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


def _check_colors(name: str, loss: Loss, student: nn.Module, teacher: nn.Module | None) -> None:
    """Luma can be made of RGB, not the other way round; features may be of different colors."""
    ours, theirs = getattr(student, "color", None), getattr(teacher, "color", None)
    if teacher is None or ours == theirs:
        return
    compares_images = loss.needs_teacher_output or loss.needs_teacher_tail
    if loss.needs_forwards or (compares_images and ours == "rgb"):
        raise UsageError(
            f"loss {name} compares images, and the student's are '{ours}', the teacher's '{theirs}': "
            "set the 'color' of one of them"
        )


def _check_cut(loss: str, pair: TapPair, teacher: nn.Module | None) -> None:
    if not pair.teacher_tap.cut:
        cuts = [name for name, tap in getattr(teacher, "taps", {}).items() if tap.cut]
        raise UsageError(
            f"loss {loss} continues from the teacher's tap '{pair.teacher}', which does not carry everything "
            f"downstream; taps that do: {', '.join(cuts)}"
        )
