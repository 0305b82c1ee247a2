"""Everything that can be refused before any work: what the schema cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from ..config.origin import Problem
from ..config.phase import Initialization
from ..config.schema import TrainingRecipe, refuse
from ..config.section import is_folder_name
from ..errors import SrKdError, UsageError, nearest
from ..losses.build import LOSSES
from ..networks.base import SRNetwork
from ..networks.teacher import PrivilegedTeacher, part_of
from ..tasks.classification.check import classification_problems
from ..tasks.classification.options import ClassificationRecipe
from ..tasks.detection.check import detection_problems, package_problems
from ..tasks.detection.options import DetectionRecipe
from ..tasks.super_resolution.check import set_problems, super_resolution_problems
from ..tasks.super_resolution.options import SuperResolutionRecipe
from ..training.phase_losses import build_loss_from
from .build import build_network_from, load_trained
from .graph import arms, phase_order, teacher_of

FOR_ONE_TASK = {"Detection": "detection", "CrossEntropy": "classification", "SoftLabel": "classification"}


def check_recipe(recipe: TrainingRecipe, *, data: bool = True) -> dict[str, nn.Module]:
    """Refuse impossible combinations: phases, networks, losses, taps, shapes, image sets.

    Args:
        recipe: as loaded, or made in Python.
        data: open the image sets, too.

    Returns:
        The networks that were built for it, by name; the random state is left as it was.

    Raises:
        UsageError: every problem found, one line each, with file, line and key where they are known.
    """
    refuse(recipe, list(_check_plan(recipe)))
    if isinstance(recipe, DetectionRecipe):
        refuse(recipe, list(package_problems()))
    order = phase_order(recipe)
    with torch.random.fork_rng(devices=[]):
        networks = _build_networks(recipe)
        problems = [problem for name in order for problem in _check_phase(recipe, name, networks)]
    if isinstance(recipe, SuperResolutionRecipe):
        problems += super_resolution_problems(recipe, networks)
        problems += set_problems(recipe) if data else []
    if isinstance(recipe, ClassificationRecipe):
        problems += classification_problems(recipe, networks, data)
    if isinstance(recipe, DetectionRecipe):
        problems += detection_problems(recipe, networks)
    else:
        problems += _misplaced_losses(recipe)
    refuse(recipe, problems)
    return networks


def _check_plan(recipe: TrainingRecipe) -> Iterator[Problem]:
    """Names that refer to each other, and numbers that must fit."""
    for name, phase in recipe.phases.items():
        if not is_folder_name(name) or name.isdecimal() or "+" in name:
            yield ("phases", name), "must have a plain name, because folders are called after it: no '/', '+' or number"
        if phase.trains not in recipe.networks:
            yield ("phases", name, "trains"), _not_among("network", phase.trains, recipe.networks)
        if phase.partner is not None:
            yield from _check_partner(recipe, name)
        lengths = list(_check_length(recipe, name))
        yield from lengths
        periods = phase.scheduler.periods
        if not lengths and periods and sum(periods) < recipe.length(name):
            problem = f"must add up to total_iter, {recipe.length(name)}, or more; they are {sum(periods)}"
            yield ("phases", name, "scheduler", "periods"), problem
        if not lengths and phase.warmup_iter and phase.warmup_iter >= recipe.length(name):
            yield ("phases", name, "warmup_iter"), f"must be less than total_iter, {recipe.length(name)}"
    if not recipe.phases:
        yield ("phases",), "is empty: nothing would be trained"
    for label, arm in recipe.arms.items():
        if arm not in recipe.phases:
            yield ("arms", label), _not_among("phase", arm, recipe.phases)
    labels = dict.fromkeys([*arms(recipe), *arms(recipe).values()])
    if isinstance(recipe, SuperResolutionRecipe):
        labels |= {"bicubic": None}
    if recipe.baseline is not None and recipe.baseline not in labels:
        yield ("baseline",), _not_among("arm", recipe.baseline, labels)
    if len(set(recipe.seeds)) < len(recipe.seeds) or not recipe.seeds:
        yield ("seeds",), f"must be distinct numbers; found {recipe.seeds}"
    if isinstance(recipe, SuperResolutionRecipe) and recipe.train.gt_size % recipe.scale:
        near = recipe.train.gt_size - recipe.train.gt_size % recipe.scale or recipe.scale
        yield ("train", "gt_size"), f"is {recipe.train.gt_size}, no multiple of the scale {recipe.scale}; try {near}"


def _check_partner(recipe: TrainingRecipe, name: str) -> Iterator[Problem]:
    phase = recipe.phases[name]
    if phase.partner not in recipe.networks:
        yield ("phases", name, "partner"), _not_among("network", str(phase.partner), recipe.networks)
    if phase.partner == phase.trains:
        problem = f"is '{phase.partner}' itself: give the partner a name of its own among the networks"
        yield ("phases", name, "partner"), problem
    for key in ("teacher", "teacher_precision", "ema_decay", "compile"):
        if getattr(phase, key):
            yield ("phases", name, key), "cannot be combined with a partner: remove one of the two"
    if phase.accumulate > 1:
        problem = f"is {phase.accumulate}; it must be 1 with a partner, whose four updates share one batch"
        yield ("phases", name, "accumulate"), problem


def _check_length(recipe: TrainingRecipe, name: str, above: tuple[str, ...] = ()) -> Iterator[Problem]:
    """`total_iter` as a sum: known phases, and no phase whose length depends on itself."""
    total = recipe.phases[name].total_iter
    for term in [] if isinstance(total, int) else [term.strip() for term in total.split("+")]:
        if term.isdecimal():
            continue
        if term not in recipe.phases:
            allowed = "a number, or a sum such as 'teacher + 1000' of phases and numbers"
            problem = f"must be {allowed}; '{term}' is no phase{nearest(term, recipe.phases)}"
            yield ("phases", name, "total_iter"), problem
        elif term in (*above, name):
            yield ("phases", name, "total_iter"), f"depends on itself: {' -> '.join((*above, name, term))}"
        else:
            yield from _check_length(recipe, term, (*above, name))
    if isinstance(total, str) and re.fullmatch(r"[\s0+]*0[\s0+]*", total):
        yield ("phases", name, "total_iter"), "is 0; it must be at least 1"


def _build_networks(recipe: TrainingRecipe) -> dict[str, nn.Module]:
    networks: dict[str, nn.Module] = {}
    problems: list[Problem] = []
    for name, options in recipe.networks.items():
        try:
            networks[name] = build_network_from(options, recipe.scale)
        except SrKdError as error:
            problems.append((("networks", name), f"cannot be built: {error}"))
            continue
        scales = _scales(networks[name], recipe.scale)
        if recipe.scale is not None and recipe.scale not in scales:
            served = ", ".join(f"x{scale}" for scale in scales)
            problems.append((("networks", name), f"is for {served}; the recipe's scale is {recipe.scale}"))
        try:
            load_trained(networks[name], options)
        except SrKdError as error:
            problems.append((("networks", name, "path"), f"cannot be loaded: {error}"))
    refuse(recipe, problems)
    return networks


def _scales(network: nn.Module, otherwise: int | None) -> tuple[int | None, ...]:
    """The scales a network serves; parts of one and foreign networks may not say."""
    return network.scales if isinstance(network, SRNetwork) else (getattr(network, "scale", otherwise),)


def _check_phase(recipe: TrainingRecipe, name: str, networks: Mapping[str, nn.Module]) -> Iterator[Problem]:
    phase = recipe.phases[name]
    if phase.init is not None:
        yield from _check_initialization(recipe, name, phase.init, networks)
    if not phase.losses:
        yield ("phases", name, "losses"), "is empty: nothing would be minimized"
    elif phase.losses[0].gradient_ratio is not None:
        problem = "must be left out: it is a fraction of the first loss' own gradient; give this loss a weight"
        yield ("phases", name, "losses", 0, "gradient_ratio"), problem
    elif phase.losses[0].weight == 0 and any(options.gradient_ratio is not None for options in phase.losses):
        yield (
            ("phases", name, "losses", 0, "weight"),
            "is 0, and another loss has a gradient_ratio, a fraction of its gradient",
        )
    if isinstance(phase.compile, str) and phase.accumulate > 1:
        problem = f"is '{phase.compile}', whose CUDA graphs cannot accumulate: use 'true', or 'accumulate: 1'"
        yield ("phases", name, "compile"), problem
    unknown = [index for index, options in enumerate(phase.losses) if options.type not in LOSSES.names()]
    for index in unknown:
        kind = phase.losses[index].type
        yield ("phases", name, "losses", index, "type"), _not_among("loss", kind, dict.fromkeys(LOSSES.names()))
    if unknown:
        return
    student = networks[phase.trains]
    if not hasattr(student, "features"):
        yield ("phases", name, "trains"), f"is a {type(student).__name__}, which is no network by itself"
        return
    source = teacher_of(recipe, name)
    teacher = None if source is None else networks[source.network]
    if phase.partner is not None:
        teacher = networks[phase.partner]
    taught = False
    for index, options in enumerate(phase.losses):
        try:
            taught |= build_loss_from(options, student, teacher).needs_teacher
            if phase.partner is not None:
                build_loss_from(options.reversed(), networks[phase.partner], student)
        except UsageError as error:
            yield ("phases", name, "losses", index), f"is refused: {error}"
            taught = True  # perhaps; one problem at a time
    for key in ("teacher", "teacher_precision"):
        if getattr(phase, key) is not None and not taught:
            problem = f"is '{getattr(phase, key)}', but none of the losses learns from a teacher "
            problem += "(a plug-in says so by needs_pairs, needs_teacher_output, needs_teacher_tail or needs_forwards)"
            yield ("phases", name, key), problem


def _check_initialization(
    recipe: TrainingRecipe, name: str, init: Initialization, networks: Mapping[str, nn.Module]
) -> Iterator[Problem]:
    """The first weights' source: a phase that comes before, and the same shapes."""
    phase = recipe.phases[name]
    if init.source not in phase.needs:
        known = f"one of the phases it 'needs'{nearest(init.source, phase.needs)}"
        yield ("phases", name, "init", "from"), f"is '{init.source}'; it must be {known}"
        return
    source, target = networks[recipe.phases[init.source].trains], networks[phase.trains]
    for key, part, whole, owner in (("part", init.part, source, init.source), ("into", init.into, target, name)):
        if part is not None and not isinstance(whole, PrivilegedTeacher):
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
        hint = " (name its 'part': decoder)" if isinstance(source, PrivilegedTeacher) else ""
        if isinstance(target, PrivilegedTeacher) and not isinstance(source, PrivilegedTeacher):
            hint = " (say 'into': decoder)"
        yield (
            ("phases", name, "init"),
            f"does not fit: {count}, such as {key}, "
            f"{offered.get(key, 'missing')} in '{init.source}' and {wanted.get(key, 'missing')} here{hint}",
        )


def _misplaced_losses(recipe: TrainingRecipe) -> Iterator[Problem]:
    """The detector's own loss, and those between logits, in a recipe of another task."""
    for name, phase in recipe.phases.items():
        for index, options in enumerate(phase.losses):
            task = FOR_ONE_TASK.get(options.type, recipe.task)
            if task != recipe.task:
                yield ("phases", name, "losses", index, "type"), f"is '{options.type}': it is for 'task: {task}'"


def _not_among(kind: str, name: str, known: Mapping[str, object]) -> str:
    return f"names no {kind}: '{name}'{nearest(name, known)}; known: {', '.join(known) or 'none'}"
