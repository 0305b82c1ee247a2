"""Training from Python: what ``sr-kd train`` does, as one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..distributed import World, joined
from ..errors import UsageError
from ..tasks.base import FinishedArm
from .check import CheckedRecipe, check_training_file
from .jobs import RecipeSource, job_count, run_jobs
from .lock import only_run_of
from .report import write_report
from .run import prepare_run, run_recipe
from .run_options import RunOptions
from .workspace import Workspace, finished_arms


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
    jobs: int | None = 1,
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
        jobs: so many processes run phases and seeds that do not need each other; None for one per GPU or core.
            A script that asks for more than one begins under ``if __name__ == "__main__":``.
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
            RunOptions(seeds, resume=resume, continue_with=continue_with, quiet=quiet),
            RecipeSource(recipe, f"sr_kd.train({recipe!r})", overrides, debug),
            jobs,
        )


def train_checked(
    checked: CheckedRecipe,
    world: World,
    options: RunOptions,
    source: RecipeSource,
    jobs: int | None = 1,
) -> TrainingResult:
    """As `train`, of a recipe that is checked, in a world that is joined.

    Args:
        source: where the recipe was read, which the record of the run tells.
        jobs: as in `train`.
    """
    options = replace(options, invocation=source.invocation)
    if jobs != 1:
        if options.seeds or world.size > 1:
            raise UsageError("--jobs shares out all seeds of one machine: leave out --seeds and torchrun, or --jobs")
        before = Workspace(checked.recipe)
        with only_run_of(before.root):
            prepare_run(checked, before, world, options)
        count = job_count(jobs, before, world.device)
        run_jobs(before, source, count, world.device, options.quiet, options.watch)
        options = replace(options, resume=True, continue_with=False)
    workspace = run_recipe(checked, world, options)
    unfinished = tuple(workspace.unfinished_seeds())
    if not world.leads or unfinished:
        return TrainingResult(workspace.root, (), unfinished)
    files = write_report(workspace, checked.data, world.device, source.command, quiet=options.quiet)
    return TrainingResult(workspace.root, tuple(files), unfinished, tuple(finished_arms(workspace)))
