"""One phase: its losses between its networks, its first weights, its teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..config.origin import Problem
from ..config.phase import Initialization
from ..config.schema import RecipeError, TrainingRecipe
from ..errors import UsageError, nearest
from ..losses.adversarial import Adversarial
from ..losses.build import LOSSES
from ..networks.base import Network, SRNetwork
from ..networks.teacher import part_of
from ..signature import OptionError
from ..tasks.base import TaskDefinition
from ..training.phase_losses import build_loss_from, build_phase_losses, learns_from_teacher
from ..training.seeding import seeded
from .check_plan import not_among
from .graph import TeacherSource, teacher_of

if TYPE_CHECKING:
    from .check import CheckedRecipe


def check_phase(checked: CheckedRecipe, name: str, networks: Mapping[str, Network]) -> Iterator[Problem]:
    """All that is wrong with a phase; its losses are kept in `checked`.

    Args:
        networks: those that could be built. What concerns others, or what was refused before, is passed over.
    """
    recipe = checked.recipe
    phase = recipe.phases[name]
    found = list(_loss_list_problems(recipe, name, checked.task))
    yield from found
    if isinstance(phase.compile, str) and phase.accumulate > 1:
        problem = f"is '{phase.compile}', whose CUDA graphs cannot accumulate: use 'true', or 'accumulate: 1'"
        yield ("phases", name, "compile"), problem
    if not found and any(issubclass(LOSSES.get(loss.type), Adversarial) for loss in phase.losses):
        for key in ("partner", "compile"):
            if getattr(phase, key):
                yield ("phases", name, key), "cannot be combined with an adversarial loss: remove one of the two"
    if phase.init is not None:
        yield from _initialization_problems(recipe, name, phase.init, networks)
    unknown = any(path[-1] == "type" for path, _ in found) or not recipe.phases.keys() >= set(phase.needs)
    if unknown or recipe.is_damaged("phases", name):
        return
    try:
        source = teacher_of(recipe, name)
    except RecipeError as error:
        yield from error.problems
        return
    if source is not None:
        yield from _teacher_problems(checked, name, source)
    elif not learns_from_teacher(phase):
        yield from _needless_teacher(recipe, name)
    if phase.targets == "teacher" and phase.partner is None:
        yield from _target_problems(checked, name, source, networks)
    other = phase.partner if source is None else source.network
    if phase.trains not in networks or (other is not None and other not in networks):
        return
    student = networks[phase.trains]
    if student.is_part:
        yield ("phases", name, "trains"), f"is a {type(student).__name__}, which is no network by itself"
        return
    yield from _built_losses(checked, name, student, None if other is None else networks[other])


def _loss_list_problems(recipe: TrainingRecipe, name: str, task: TaskDefinition) -> Iterator[Problem]:
    """Losses by their names and weights."""
    losses = recipe.phases[name].losses
    if not losses:
        yield ("phases", name, "losses"), "is empty: nothing would be minimized"
        return
    if losses[0].gradient_ratio is not None:
        problem = "must be left out: it is a fraction of the first loss' own gradient; give this loss a weight"
        yield ("phases", name, "losses", 0, "gradient_ratio"), problem
    elif losses[0].weight == 0 and any(options.gradient_ratio is not None for options in losses):
        problem = "is 0, and another loss has a gradient_ratio, a fraction of its gradient"
        yield ("phases", name, "losses", 0, "weight"), problem
    for index, options in enumerate(losses):
        path = ("phases", name, "losses", index, "type")
        if options.type not in LOSSES.names():
            yield path, not_among("loss", options.type, LOSSES.names())
        elif not _serves(options.type, task):
            served = ", ".join(kind for kind in LOSSES.names() if _serves(kind, task))
            tasks = LOSSES.get(options.type).tasks
            what = f"it is for 'task: {' or '.join(tasks)}'" if tasks else f"a {task.name} has no outputs to compare"
            yield path, f"is '{options.type}': {what}; losses for {task.name}: {served}"


def _serves(loss: str, task: TaskDefinition) -> bool:
    cls = LOSSES.get(loss)
    return task.name in cls.tasks if cls.tasks else task.single_output or not cls.compares_outputs()


def _built_losses(checked: CheckedRecipe, name: str, student: Network, other: Network | None) -> Iterator[Problem]:
    """Build the losses; if that fails, one by one, to name them all."""
    recipe = checked.recipe
    phase, seed = recipe.phases[name], next(iter(recipe.seeds), 0)
    try:
        checked.losses[name] = build_phase_losses(recipe, name, seed, student, other)
        return
    except UsageError:
        pass
    with seeded(seed, name):
        for index, options in enumerate(phase.losses):
            try:
                build_loss_from(options, student, other)
                if phase.partner is not None and other is not None:
                    build_loss_from(options.reversed(), other, student)
            except OptionError as error:
                for path, problem in error.problems:
                    yield ("phases", name, "losses", index, *path), f"is refused: {problem}"
            except UsageError as error:
                yield ("phases", name, "losses", index), f"is refused: {error}"


def _teacher_problems(checked: CheckedRecipe, name: str, source: TeacherSource) -> Iterator[Problem]:
    """A teacher that nobody learns from, or one whose file is for another scale."""
    recipe = checked.recipe
    if not learns_from_teacher(recipe.phases[name]):
        yield from _needless_teacher(recipe, name)
    scales = checked.networks.file_scales(source.network)
    if source.phase is None and scales and recipe.scale not in scales:
        served = ", ".join(f"x{scale}" for scale in scales)
        problem = f"holds a network for {served}, which cannot teach {name}: the recipe's scale is x{recipe.scale}"
        yield ("networks", source.network, "path"), problem


def _target_problems(
    checked: CheckedRecipe, name: str, source: TeacherSource | None, networks: Mapping[str, Network]
) -> Iterator[Problem]:
    """A teacher that cannot make images of LR."""
    path = ("phases", name, "targets")
    if not checked.task.upscales:
        yield path, f"is 'teacher'; in a {checked.task.name} it must be 'hr': the labels are no images"
    elif source is None:
        yield path, "is 'teacher', but there is none: name a needed phase, or a network with a 'path', by 'teacher'"
    elif not isinstance(networks.get(source.network, SRNetwork), SRNetwork):
        yield path, f"is 'teacher', but '{source.network}' sees HR itself: it can only teach by its losses"


def _needless_teacher(recipe: TrainingRecipe, name: str) -> Iterator[Problem]:
    phase = recipe.phases[name]
    for key in ("teacher", "teacher_precision"):
        if getattr(phase, key) is not None and phase.partner is None:
            problem = f"is '{getattr(phase, key)}', but none of the losses learns from a teacher "
            problem += "(a plug-in says so by needs_pairs, needs_teacher_output, needs_teacher_tail or needs_forwards) "
            problem += "and 'targets' is not 'teacher'"
            yield ("phases", name, key), problem


def _initialization_problems(
    recipe: TrainingRecipe, name: str, init: Initialization, networks: Mapping[str, Network]
) -> Iterator[Problem]:
    """The first weights' source: a phase that comes before, and the same shapes."""
    phase = recipe.phases[name]
    if init.source not in phase.needs:
        if not recipe.is_damaged("phases", name):
            known = f"one of the phases it 'needs'{nearest(init.source, phase.needs)}"
            yield ("phases", name, "init", "from"), f"is '{init.source}'; it must be {known}"
        return
    if init.source not in recipe.phases or not {recipe.phases[init.source].trains, phase.trains} <= networks.keys():
        return
    source, target = networks[recipe.phases[init.source].trains], networks[phase.trains]
    for key, part, whole, owner in (("part", init.part, source, init.source), ("into", init.into, target, name)):
        if part is not None and not whole.sees_hr:
            problem = f"is '{part}', but '{owner}' trains a {type(whole).__name__}, which has no parts"
            yield ("phases", name, "init", key), problem
            return
    source, target = part_of(source, init.part), part_of(target, init.into)
    offered = {key: tuple(value.shape) for key, value in source.state_dict().items()}
    wanted = {key: tuple(value.shape) for key, value in target.state_dict().items()}
    differing = [key for key in {**wanted, **offered} if offered.get(key) != wanted.get(key)]
    if differing:
        key = differing[0]
        count = "1 weight differs" if len(differing) == 1 else f"{len(differing)} weights differ"
        hint = " (name its 'part': decoder)" if source.sees_hr else ""
        if target.sees_hr and not source.sees_hr:
            hint = " (say 'into': decoder)"
        yield (
            ("phases", name, "init"),
            f"does not fit: {count}, such as {key}, "
            f"{offered.get(key, 'missing')} in '{init.source}' and {wanted.get(key, 'missing')} here{hint}",
        )
