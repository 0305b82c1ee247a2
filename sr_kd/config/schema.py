"""The option-file schema: what a training or test recipe may say (frozen, unknown keys refused)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Self

from pydantic import Field, PositiveInt, PrivateAttr

from ..errors import UsageError
from .origin import KeyPath, Origin, Problem
from .phase import NetworkOptions, Phase
from .section import FolderName, PathText, Section


class ValidationOptions(Section):
    """When to validate, and by what the best checkpoint is chosen (the first metric on the first set).

    Attributes:
        val_freq: iterations between validations.
        metrics: names of registered metrics; the first one chooses.
        save_img: keep the validation's images.
    """

    val_freq: PositiveInt = 5000
    metrics: Annotated[list[str], Field(min_length=1)] = ["psnr", "ssim"]
    save_img: bool = False


class Logger(Section):
    """How often to log and to save.

    Attributes:
        print_freq: iterations between log lines.
        save_checkpoint_freq: iterations between saved states.
        keep_checkpoints: how many regular states stay (0: all).
        use_tb_logger: write curves for TensorBoard.
    """

    print_freq: PositiveInt = 100
    save_checkpoint_freq: PositiveInt = 5000
    keep_checkpoints: Annotated[int, Field(ge=0)] = 3
    use_tb_logger: bool = True


class Paths(Section):
    """Where results go, relative to the working directory.

    Attributes:
        experiments_root: networks, states and logs, in a folder of the recipe's name.
        results_root: tables and images.
        tb_root: TensorBoard's curves.
    """

    experiments_root: PathText = "experiments"
    results_root: PathText = "results"
    tb_root: PathText = "tb_logger"


class OptionFile(Section):
    """A whole option file, which knows where its keys were written."""

    _origin: Origin = PrivateAttr(default_factory=Origin)
    _damaged: frozenset[KeyPath] = PrivateAttr(default_factory=frozenset)

    @property
    def origin(self) -> Origin:
        """The way back to file, line and key; empty for a recipe made in Python."""
        return self._origin

    def with_origin(self, origin: Origin, damaged: Collection[KeyPath] = ()) -> Self:
        """This option file, as read from there; what was refused in the `damaged` sections is missing."""
        copy = self.model_copy()
        copy._origin, copy._damaged = origin, frozenset(damaged)
        return copy

    def is_damaged(self, *path: str | int) -> bool:
        """Whether something that was refused is missing from this section: it cannot be judged."""
        return any(path[: len(each)] == each for each in self._damaged)


class TrainingRecipe(OptionFile):
    """A training option file of any task.

    Attributes:
        name: of the run and its folders.
        task: what is trained for.
        scale: upscaling factor, 2 or more (super-resolution only).
        seeds: every phase runs once for each.
        plugins: Python files, relative to this one, that register networks, losses or metrics.
        train: the training set.
        validation_sets: the sets to validate on.
        networks: label -> network; a phase makes its own copy.
        phases: label -> training run.
        arms: label in tables -> phase; default: the phases that nothing else needs.
        baseline: the arm (or its phase) that the others are compared with; for super-resolution also "bicubic", the
            default there.
        val: validation during the run.
        logger: logs and saved states.
        path: where results go.
    """

    name: FolderName
    task: str = "super_resolution"
    scale: int | None = None
    seeds: list[int] = [0]
    plugins: list[PathText] = []
    train: Section
    validation_sets: Sequence[Section] = []
    networks: dict[str, NetworkOptions]
    phases: dict[str, Phase]
    arms: dict[str, str] = {}
    baseline: str | None = None
    val: ValidationOptions = ValidationOptions()
    logger: Logger = Logger()
    path: Paths = Paths()
    _plugin_digests: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def plugin_digests(self) -> dict[str, str]:
        """Plug-in as written -> SHA-256 of its file; empty for a recipe made in Python."""
        return self._plugin_digests

    def with_plugins(self, digests: dict[str, str]) -> Self:
        """This recipe, with these plug-ins loaded."""
        copy = self.model_copy()
        copy._plugin_digests = digests
        return copy

    def length(self, phase: str, known: dict[str, int] | None = None) -> int:
        """The phase's total_iter as a number, sums worked out (checked when the file is loaded).

        Args:
            phase: its label.
            known: lengths that were worked out, which this one joins: phases of phases may be many.
        """
        known = {} if known is None else known
        if phase not in known:
            terms = [term.strip() for term in str(self.phases[phase].total_iter).split("+")]
            known[phase] = sum(int(term) if term.isdecimal() else self.length(term, known) for term in terms)
        return known[phase]


class RecipeError(UsageError):
    """Problems of a recipe, told with their places."""

    def __init__(self, recipe: OptionFile, problems: Sequence[Problem]) -> None:
        super().__init__(recipe.origin.report(problems))
        self.problems = list(problems)
