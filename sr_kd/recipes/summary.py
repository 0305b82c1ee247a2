"""What an option file would run, in a few lines."""

from __future__ import annotations

from ..config.phase import Initialization
from ..networks.base import Network
from ..networks.complexity import count_parameters
from .check import CheckedRecipe, CheckedTest
from .graph import phase_order, teacher_of


def describe_recipe(checked: CheckedRecipe) -> list[str]:
    """Phases in order with their networks, lengths and losses; data with numbers of images; arms."""
    recipe = checked.recipe
    task = recipe.task if recipe.scale is None else f"x{recipe.scale}"
    lines = [f"{recipe.name}: a training recipe, {task}"]
    for name in phase_order(recipe):
        phase = recipe.phases[name]
        network = checked.network(phase.trains)
        teacher = teacher_of(recipe, name)
        taught = "" if teacher is None else f", taught by {teacher.phase or teacher.network}"
        taught += "'s images" if phase.targets == "teacher" else ""
        if phase.partner is not None:
            partner = checked.network(phase.partner)
            taught = f", with {phase.partner} ({_size(partner)}), each the other's teacher"
        begun = "" if phase.init is None else f", {_begun(phase.init)}"
        lines.append(
            f"  phase {name}: {phase.trains} ({_size(network)}), {recipe.length(name):,} iterations of "
            f"{phase.optim.type} {phase.optim.lr:g} {phase.scheduler.type}{taught}{begun}"
        )
        lines.append(f"    losses: {', '.join(map(str, phase.losses))}")
    if recipe.arms:
        lines.append(f"  arms: {', '.join(f'{label} ({phase})' for label, phase in recipe.arms.items())}")
    lines.append(f"  seeds: {', '.join(map(str, recipe.seeds))}")
    return lines + [f"  {line}" for line in checked.data.summary()]


def describe_test(checked: CheckedTest) -> list[str]:
    """Models and sets with numbers of images."""
    recipe = checked.recipe
    lines = [f"{recipe.name}: a test, x{recipe.scale}"]
    lines += [f"  model {label}: {model}" for label, model in recipe.models.items()]
    return lines + [f"  {line}" for line in checked.sets.summary("set")]


def _size(network: Network) -> str:
    return f"{type(network).__name__}, {count_parameters(network):,} parameters"


def _begun(init: Initialization) -> str:
    given = "" if init.into is None else f"{init.into} "
    return f"{given}from {' '.join(filter(None, (init.source, init.part)))}"
