"""Everything that can be refused before any work, in one pass; what was built for it is what the run uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..config.dialect import is_test
from ..config.origin import Problem
from ..config.schema import RecipeError, TrainingRecipe
from ..errors import UsageError
from ..networks.base import Network
from ..tasks import TASKS
from ..tasks.base import TaskData, TaskDefinition
from ..tasks.super_resolution.check import test_problems
from ..tasks.super_resolution.data import EvaluationSets
from ..tasks.super_resolution.options import TestRecipe
from ..training.phase_losses import PhaseLosses
from .check_phase import check_phase
from .check_plan import plan_problems
from .load import parse_test, parse_training, read_options, refusal
from .networks import RecipeNetworks
from .trial import trial


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe with all that was opened and built to check it.

    Attributes:
        recipe: without a problem. task: its record.
        networks: with their first weights, built once.
        losses: phase -> its losses for the recipe's first seed.
        data: the sets.
    """

    recipe: TrainingRecipe
    task: TaskDefinition
    networks: RecipeNetworks
    data: TaskData
    losses: dict[str, PhaseLosses] = field(default_factory=dict)

    def network(self, name: str) -> Network:
        """A network with the first seed's first weights; nobody may train it."""
        return self.networks.original(name, next(iter(self.recipe.seeds), 0))


@dataclass(frozen=True)
class CheckedTest:
    """A test with its sets."""

    recipe: TestRecipe
    sets: EvaluationSets


def check_recipe(recipe: TrainingRecipe, *, data: bool = True) -> CheckedRecipe:
    """Refuse impossible combinations: phases, networks, losses, taps, shapes, image sets.

    Args:
        recipe: as loaded, or made in Python.
        data: open the image sets, too.

    Raises:
        UsageError: every problem found, one line each, with file, line and key where they are known.
    """
    checked, problems = _examined(recipe, data)
    if problems:
        raise UsageError(recipe.origin.report(problems))
    return checked


def check_file(path: Path | str, overrides: Sequence[str] = (), *, data: bool = True) -> CheckedRecipe | CheckedTest:
    """Load a training or test option file and check it; arguments and errors as in `check_training_file`."""
    if is_test(read_options(path, overrides).data):
        return check_test_file(path, overrides, data=data)
    return check_training_file(path, overrides, data=data)


def check_training_file(
    path: Path | str, overrides: Sequence[str] = (), *, debug: bool = False, data: bool = True
) -> CheckedRecipe:
    """Load a training option file and check it.

    Arguments as in `load_recipe` and `check_recipe`.

    Raises:
        UsageError: what is wrong with the text of the file and with what it asks for, in one report.
    """
    document = read_options(path, overrides)
    recipe, problems = parse_training(document)
    if recipe is None:
        raise refusal(problems, document)
    checked, found = _examined(trial(recipe) if debug else recipe, data)
    problems += [(recipe.origin.written(where), problem) for where, problem in found]
    if problems:
        raise refusal(problems, document)
    return checked


def check_test_file(path: Path | str, overrides: Sequence[str] = (), *, data: bool = True) -> CheckedTest:
    """As `check_training_file`, of a test."""
    document = read_options(path, overrides)
    recipe, problems = parse_test(document)
    if recipe is None:
        raise refusal(problems, document)
    sets = EvaluationSets(recipe.sets, recipe.scale, "sets", recipe.metrics, data)
    found = [*sets.problems, *sets.misfits(), *test_problems(recipe)]
    problems += [(recipe.origin.written(where), text) for where, text in found if not recipe.is_damaged(*where)]
    if problems:
        raise refusal(problems, document)
    return CheckedTest(recipe, sets)


def _examined(recipe: TrainingRecipe, look: bool) -> tuple[CheckedRecipe, list[Problem]]:
    """A recipe, perhaps a damaged one, and what is wrong with the rest of it."""
    task = TASKS.get(recipe.task)
    checked = CheckedRecipe(recipe, task, RecipeNetworks(recipe), task.open_data(recipe, look))
    missing = [name for name in task.packages if find_spec(name) is None]
    if missing:
        problem = f"is '{task.name}', which needs {', '.join(missing)}: pip install 'sr_kd[{task.name}]'"
        return checked, [(("task",), problem)]
    problems = list(plan_problems(recipe, task))
    networks: dict[str, Network] = {}
    for name in recipe.networks:
        try:
            networks[name] = checked.network(name)
        except RecipeError as error:
            problems += error.problems
    fitting = {name: network for name, network in networks.items() if network.task == task.name}
    problems += _misplaced(recipe, set(networks) - set(fitting), networks)
    for name in recipe.phases:
        problems += check_phase(checked, name, networks)
    found = [*checked.data.problems, *checked.data.misfits(fitting), *task.problems(recipe, fitting)]
    problems += [(path, problem) for path, problem in found if not recipe.is_damaged(*path)]
    return checked, problems


def _misplaced(recipe: TrainingRecipe, names: set[str], networks: dict[str, Network]) -> Iterator[Problem]:
    """Networks of other tasks."""
    for name in names:
        problem = f"is '{recipe.networks[name].type}': it is for 'task: {networks[name].task}'"
        yield ("networks", name, "type"), problem
