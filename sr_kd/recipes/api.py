"""Training from Python: what ``sr-kd train`` does, as one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..distributed import World, joined
from ..tasks.base import FinishedArm
from .check import CheckedRecipe, check_training_file
from .report import write_report
from .run import run_recipe
from .workspace import finished_arms


@dataclass(frozen=True)
class TrainingResult:
    """Where everything of a run is.

    Attributes:
        experiment: the folder of its networks (``models``), states and log.
        files: what compares its arms: a table, its numbers and, for super-resolution, a montage. Empty where other
            seeds are not finished, where there is no validation set, and in all processes but the first.
        unfinished_seeds: seeds of the recipe that other processes still run.
        arms: every seed of every arm with its scores and its network's file; empty where seeds are not
            finished, and in all processes but the first.
    """

    experiment: Path
    files: tuple[Path, ...]
    unfinished_seeds: tuple[int, ...] = ()
    arms: tuple[FinishedArm, ...] = ()


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    seeds: Sequence[int] = (),
    resume: bool = False,
    continue_with: bool = False,
    debug: bool = False,
    quiet: bool = True,
) -> TrainingResult:
    """Check a recipe, run what is not finished of it, and compare its arms.

    Args:
        recipe: an option file, or the name of a packaged one, such as "pisr/fsrcnn_x2_cpu".
        overrides: options to replace, as ``"phases:student:total_iter=100"``, in order.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps". Processes that torchrun started join by themselves.
        seeds: only these of the recipe's, while other processes run the others; always resumes.
        resume: continue a run of the same name; otherwise it is archived.
        continue_with: the same, with other options than before in its phases; they hold from the last states on.
        debug: 8 iterations per phase, logged and validated all along, under another name.
        quiet: no progress bars.

    Raises:
        UsageError: everything wrong with the option file, with file, line and key; nothing was started.
        SrKdError: unreadable data, a diverged loss, a device without enough memory, another process at the same run.
    """
    checked = check_training_file(recipe, overrides, debug=debug)
    with joined(device) as world:
        return train_checked(
            checked,
            world,
            seeds=seeds,
            resume=resume or continue_with,
            continue_with=continue_with,
            quiet=quiet,
            command=f"sr_kd.train({recipe!r})",
        )


def train_checked(
    checked: CheckedRecipe,
    world: World,
    *,
    seeds: Sequence[int],
    resume: bool,
    quiet: bool,
    command: str,
    continue_with: bool = False,
) -> TrainingResult:
    """As `train`, of a recipe that is checked, in a world that is joined. `command`: for the foot of the table."""
    workspace = run_recipe(checked, world, seeds=seeds, resume=resume, continue_with=continue_with, quiet=quiet)
    unfinished = tuple(workspace.unfinished_seeds())
    if not world.leads or unfinished:
        return TrainingResult(workspace.root, (), unfinished)
    files = write_report(workspace, checked.data, world.device, command, quiet=quiet)
    return TrainingResult(workspace.root, tuple(files), unfinished, tuple(finished_arms(workspace)))
