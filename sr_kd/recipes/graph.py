"""The order of a recipe's phases, and who teaches whom."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.schema import RecipeError, TrainingRecipe
from ..errors import nearest
from ..training.phase_losses import learns_from_teacher


@dataclass(frozen=True)
class TeacherSource:
    """Whose frozen network teaches a phase.

    Attributes:
        network: its name in `TrainingRecipe.networks`.
        phase: the phase whose result it is; None for a network with trained weights of its own (`path`).
    """

    network: str
    phase: str | None


def arms(recipe: TrainingRecipe) -> dict[str, str]:
    """Label -> phase of what the recipe compares: as written, or every phase that no other needs."""
    if recipe.arms:
        return dict(recipe.arms)
    needed = {name for phase in recipe.phases.values() for name in phase.needs}
    return {name: name for name in recipe.phases if name not in needed}


def baseline_of(recipe: TrainingRecipe) -> str | None:
    """The label in tables that the others are compared with: the arm that `baseline` names, itself or by its phase.

    What is no arm ("bicubic") comes back as it is; None where the recipe names none.
    """
    of_phase = {phase: label for label, phase in arms(recipe).items()}
    named = recipe.baseline
    return named if named is None or named in arms(recipe) else of_phase.get(named, named)


def phase_order(recipe: TrainingRecipe) -> list[str]:
    """Every phase after those it needs, otherwise as written; needs that are no phase are for the check to name.

    Raises:
        RecipeError: phases that need each other.
    """
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle = " -> ".join((*above[above.index(name) :], name))
            raise RecipeError(recipe, [(("phases", name, "needs"), f"goes round in a circle: {circle}")])
        if name in order:
            return
        for need in filter(recipe.phases.__contains__, recipe.phases[name].needs):
            visit(need, (*above, name))
        order.append(name)

    for name in recipe.phases:
        visit(name, ())
    return order


def phases_before(recipe: TrainingRecipe, phase: str) -> list[str]:
    """The phases that a phase needs, and those that they need, in the order of :func:`phase_order`."""
    needed = set(recipe.phases[phase].needs)
    for name in reversed(order := phase_order(recipe)):
        if name in needed:
            needed.update(recipe.phases[name].needs)
    return [name for name in order if name in needed]


def teacher_of(recipe: TrainingRecipe, phase: str) -> TeacherSource | None:
    """The frozen teacher of a phase; None if nothing in it asks for one, or a partner teaches.

    What `teacher` names; otherwise the needed phase that trains another network, or else the only
    needed phase; otherwise the only network with trained weights besides the phase's own.

    Raises:
        RecipeError: `teacher` is neither a needed phase nor a network with a `path`, or several could be meant.
    """
    options = recipe.phases[phase]
    if options.partner is not None or (options.teacher is None and not learns_from_teacher(options)):
        return None
    pretrained = [name for name, network in recipe.networks.items() if network.path and name != options.trains]
    if options.teacher is not None:
        if options.teacher in options.needs:
            return TeacherSource(recipe.phases[options.teacher].trains, options.teacher)
        if options.teacher in pretrained:
            return TeacherSource(options.teacher, None)
        known = [*options.needs, *pretrained]
        problem = (
            f"is '{options.teacher}'{nearest(options.teacher, known)}: it must be one of the phases it 'needs', "
            f"or a network with trained weights ('path'); here: {', '.join(known) or 'none'}"
        )
        raise RecipeError(recipe, [(("phases", phase, "teacher"), problem)])
    others = [name for name in options.needs if recipe.phases[name].trains != options.trains]
    for found in (others, options.needs, pretrained):
        if len(found) > 1:
            problem = f"has several possible teachers: set 'teacher' to one of {', '.join(found)}"
            raise RecipeError(recipe, [(("phases", phase), problem)])
        if found:
            name = found[0]
            return TeacherSource(name, None) if found is pretrained else TeacherSource(recipe.phases[name].trains, name)
    return None
