"""Training from Python: what ``sr-kd train`` does, as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.schema import TrainingRecipe
from ..distributed import World, joined
from .check import check_recipe
from .load import load_recipe
from .record import Invocation
from .report import write_report
from .run import run_recipe


@dataclass(frozen=True)
class FinishedRun:
    """Where everything of a run is.

    Attributes:
        experiment: the folder of its networks (``models``), states and log.
        files: what compares its arms: a table, its numbers and, for super-resolution, a montage. Empty where other
            seeds are not finished, where there is no validation set, and in all processes but the first.
        unfinished_seeds: seeds of the recipe that other processes still run.
    """

    experiment: Path
    files: tuple[Path, ...]
    unfinished_seeds: tuple[int, ...] = ()


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    seeds: Sequence[int] = (),
    resume: bool = False,
    debug: bool = False,
    quiet: bool = True,
) -> FinishedRun:
    """Check a recipe, run what is not finished of it, and compare its arms.

    Args:
        recipe: an option file, or the name of a packaged one, such as "pisr/fsrcnn_x2_cpu".
        overrides: options to replace, as ``"phases:student:total_iter=100"``, in order.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps". Processes that torchrun started join by themselves.
        seeds: only these of the recipe's, while other processes run the others; always resumes.
        resume: continue a run of the same name; otherwise it is archived.
        debug: 8 iterations per phase, logged and validated all along, under another name.
        quiet: no progress bars.

    Raises:
        UsageError: everything wrong with the option file, with file, line and key; nothing was started.
        SrKdError: unreadable data, a diverged loss, a device without enough memory, another process at the same run.
    """
    loaded = load_recipe(recipe, overrides, debug=debug)
    with joined(device) as world:
        return train_recipe(
            loaded,
            world,
            seeds=seeds,
            resume=resume,
            quiet=quiet,
            command=f"sr_kd.train({recipe!r})",
            option_file=recipe,
        )


def train_recipe(
    recipe: TrainingRecipe,
    world: World,
    *,
    seeds: Sequence[int],
    resume: bool,
    quiet: bool,
    command: str,
    option_file: str | Path = "",
    watch: Callable[[], None] | None = None,
) -> FinishedRun:
    """As `train`, of a recipe that is loaded, in a world that is joined.

    Args:
        command: for the foot of the table, and the record of the run.
        option_file: of the recipe; plug-ins are named relative to it.
        watch: called on rank 0 after every validation and every phase.
    """
    check_recipe(recipe)
    invocation = Invocation(str(option_file), command)
    workspace = run_recipe(recipe, world, seeds=seeds, resume=resume, quiet=quiet, invocation=invocation, watch=watch)
    unfinished = tuple(workspace.unfinished_seeds())
    files: list[Path] = []
    if world.leads and not unfinished:
        files = write_report(recipe, workspace, world.device, command, quiet=quiet)
    return FinishedRun(workspace.root, tuple(files), unfinished)
