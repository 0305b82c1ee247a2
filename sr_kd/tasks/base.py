"""What recipes ask of a task: one record, found by name, and the data that it opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from ..config.origin import KeyPath, Problem
from ..config.schema import TrainingRecipe
from ..distributed import World
from ..networks.base import Network
from ..training.task import Task

Networks = Mapping[str, Network]


class TaskData(Protocol):
    """The image sets of a recipe, opened once: for the check, all phases and the report.

    Attributes:
        problems: why sets could not be opened.
    """

    problems: Sequence[Problem]

    def misfits(self, networks: Networks) -> Iterable[Problem]:
        """What does not fit between the sets, and between them and the networks (those that could be built)."""

    def summary(self) -> list[str]:
        """A line for every set, with the number of its images; the training set first."""

    def listing(self) -> list[str]:
        """A line for every training image: equal lines, equal images. Empty where images are a function of options."""
        return []

    def decode_validation(self, world: World) -> None:
        """Decode this rank's share of the validation images once. Raises SrKdError for one that cannot be read."""

    def task(self, phase: str, seed: int, networks: Sequence[Network], world: World, quiet: bool) -> Task:
        """The task of one phase.

        Args:
            phase: names the stream of random batches, together with the seed.
            networks: student and teacher.
            quiet: no progress bars.

        Raises:
            SrKdError: data that cannot be read.
        """


@dataclass(frozen=True)
class FinishedArm:
    """One seed's result of an arm.

    Attributes:
        label: in tables; a partner's is that of its arm with " (partner)".
        network: its name in the recipe.
        seed: of the run.
        file: the network.
        scores: set name -> metric -> value of the last validation.
        iterations: of the phases that it needs, of its own pre-training, and of its training.
        seconds_per_step: median time of one of the latter; None where it was not measured.
        remarks: on steps that were left out, and on other options that it went on with.
    """

    label: str
    network: str
    seed: int
    file: Path
    scores: Mapping[str, Mapping[str, float]]
    iterations: tuple[int, ...]
    seconds_per_step: float | None
    remarks: tuple[str, ...] = ()

    @property
    def cost(self) -> dict[str, Any]:
        """Iterations, time and remarks, for a JSON file."""
        cost = {"iterations": list(self.iterations), "seconds_per_step": self.seconds_per_step}
        return {**cost, "remarks": list(self.remarks)} if self.remarks else cost


@dataclass(frozen=True)
class FinishedArms:
    """A finished recipe, for the report.

    Attributes:
        arms: label -> its results, one for each seed.
        data: as opened for the run.
        baseline: the label that the others are compared with, if one is named.
        columns: of the table, beside the scores: header -> label -> cell. note: the sentence that explains them.
        folder: where the report goes.
        command: the command line that made the results.
    """

    recipe: Any
    arms: Mapping[str, Sequence[FinishedArm]]
    data: Any
    baseline: str | None
    columns: Mapping[str, Mapping[str, str]]
    note: str
    folder: Path
    device: torch.device
    command: str
    quiet: bool = False


def no_problems(recipe: Any, networks: Networks) -> Iterator[Problem]:
    """Of a task that asks nothing more of its options and networks than every task does."""
    yield from ()


def write_last_scores(run: FinishedArms) -> list[Path]:
    """The report of a task without one of its own: the scores of every arm's last validation."""
    from .last_scores import write_table

    return write_table(run)


@dataclass(frozen=True)
class TaskDefinition:
    """A task.

    Attributes:
        name: ``task:`` in option files, `task` of networks, an entry of `Loss.tasks`.
        recipe: the option model.
        open_data: (recipe, whether to look for the images) -> its sets.
        problems: (recipe, networks that could be built, by name) -> what no task but this one asks of them.
        report: writes tables of a finished run; returns the files.
        metrics: metric -> its title in tables.
        baselines: what can be compared with beside the arms.
        upscales: whether networks make images of images, which are scored and shown one by one.
        packages: what must be installed, the extra of the task's name.
        single_output: whether a network puts out one tensor, which losses can compare and a tail can lead to.
    """

    name: str
    recipe: type[TrainingRecipe]
    open_data: Callable[[Any, bool], TaskData]
    problems: Callable[[Any, Networks], Iterable[Problem]] = no_problems
    report: Callable[[FinishedArms], list[Path]] = write_last_scores
    metrics: Mapping[str, str] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    single_output: bool = True
    upscales: bool = False
    packages: tuple[str, ...] = ()


def repeated_names(path: KeyPath, names: Sequence[str]) -> Iterator[Problem]:
    """Sets of one name, which tables and logs could not tell apart."""
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield path, f"has {names.count(name)} sets called '{name}': give each its own 'name'"
