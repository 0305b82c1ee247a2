"""What a recipe's names say of each other, and numbers that must fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..config.document import DEEPEST, LONGEST_NUMBER
from ..config.origin import Problem
from ..config.schema import RecipeError, TrainingRecipe
from ..config.section import is_folder_name
from ..errors import nearest
from ..tasks.base import TaskDefinition
from .graph import arms, phase_order


def plan_problems(recipe: TrainingRecipe, task: TaskDefinition) -> Iterator[Problem]:
    """Names that stand for nothing, circles, lengths, arms and seeds."""
    for name, phase in recipe.phases.items():
        if not is_folder_name(name) or name.isdecimal() or "+" in name:
            yield ("phases", name), "must have a plain name, because folders are called after it: no '/', '+' or number"
        yield from _unknown(recipe, "network", phase.trains, ("phases", name, "trains"))
        if phase.partner is not None:
            yield from _partner_problems(recipe, name)
        for need in phase.needs:
            yield from _unknown(recipe, "phase", need, ("phases", name, "needs"))
        lengths = list(_length_problems(recipe, name, set()))
        yield from lengths
        if not lengths and not recipe.is_damaged("phases", name):
            yield from _schedule_problems(recipe, name)
    if not recipe.phases and not recipe.is_damaged("phases"):
        yield ("phases",), "is empty: nothing would be trained"
    try:
        phase_order(recipe)
    except RecipeError as error:
        yield from error.problems
    taken = [*task.baselines, *(("LR", "HR") if task.upscales else ())]
    for label, arm in recipe.arms.items():
        yield from _unknown(recipe, "phase", arm, ("arms", label))
        if label in taken or not label.strip() or not label.isprintable():
            yield ("arms",), f"has {label!r}; an arm needs a name that can be read, and not {' or '.join(taken)}"
    labels = [*dict.fromkeys([*arms(recipe), *arms(recipe).values(), *task.baselines])]
    if recipe.baseline is not None and recipe.baseline not in labels:
        yield ("baseline",), not_among("arm", recipe.baseline, labels)
    if len(set(recipe.seeds)) < len(recipe.seeds) or not recipe.seeds:
        yield ("seeds",), f"must be distinct numbers; found {recipe.seeds}"


def not_among(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that stands for nothing."""
    known = list(known)
    return f"names no {kind}: '{name}'{nearest(name, known)}; known: {', '.join(known) or 'none'}"


def _unknown(recipe: TrainingRecipe, kind: str, name: str, path: tuple[str, ...]) -> Iterator[Problem]:
    """A name of a network or phase; of one that was refused, nothing more is said."""
    section = f"{kind}s"
    known = getattr(recipe, section)
    if name not in known and not recipe.is_damaged(section, name):
        yield path, not_among(kind, name, known)


def _partner_problems(recipe: TrainingRecipe, name: str) -> Iterator[Problem]:
    phase = recipe.phases[name]
    yield from _unknown(recipe, "network", str(phase.partner), ("phases", name, "partner"))
    if phase.partner == phase.trains:
        problem = f"is '{phase.partner}' itself: give the partner a name of its own among the networks"
        yield ("phases", name, "partner"), problem
    for key in ("teacher", "teacher_precision", "ema_decay", "compile"):
        if getattr(phase, key):
            yield ("phases", name, key), "cannot be combined with a partner: remove one of the two"
    if phase.targets == "teacher":
        yield ("phases", name, "targets"), "is 'teacher', but a partner teaches: leave it out"
    if phase.accumulate > 1:
        problem = f"is {phase.accumulate}; it must be 1 with a partner, whose four updates share one batch"
        yield ("phases", name, "accumulate"), problem


def _length_problems(
    recipe: TrainingRecipe, name: str, seen: set[str], above: tuple[str, ...] = ()
) -> Iterator[Problem]:
    """`total_iter` as a sum: known phases, and no phase whose length depends on itself; those seen were looked at."""
    total = recipe.phases[name].total_iter
    for term in [] if isinstance(total, int) else [term.strip() for term in total.split("+")]:
        if (term.isdecimal() and len(term) <= LONGEST_NUMBER) or recipe.is_damaged("phases", term):
            continue
        if term not in recipe.phases:
            allowed = "a number, or a sum such as 'teacher + 1000' of phases and numbers"
            problem = f"must be {allowed}; '{term[:80]}' is no phase{nearest(term, recipe.phases)}"
            yield ("phases", name, "total_iter"), problem
        elif term in (*above, name):
            yield ("phases", name, "total_iter"), f"depends on itself: {' -> '.join((*above, name, term))}"
        elif len(above) == DEEPEST:
            yield ("phases", name, "total_iter"), f"is a sum within more than {DEEPEST} sums of other phases"
        elif term not in seen:
            seen.add(term)
            yield from _length_problems(recipe, term, seen, (*above, name))
    if isinstance(total, str) and "0" in total and not re.search(r"[^\s0+]", total):
        yield ("phases", name, "total_iter"), "is 0; it must be at least 1"


def _schedule_problems(recipe: TrainingRecipe, name: str) -> Iterator[Problem]:
    """Where the length is known."""
    phase = recipe.phases[name]
    terms = [] if isinstance(phase.total_iter, int) else [term.strip() for term in phase.total_iter.split("+")]
    if any(recipe.is_damaged("phases", term) for term in terms):
        return
    length, periods = recipe.length(name), phase.scheduler.periods
    if periods and sum(periods) < length:
        problem = f"must add up to total_iter, {length}, or more; they are {sum(periods)}"
        yield ("phases", name, "scheduler", "periods"), problem
    if phase.warmup_iter and phase.warmup_iter >= length:
        yield ("phases", name, "warmup_iter"), f"must be less than total_iter, {length}"
