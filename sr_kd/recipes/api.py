"""Training from Python: what ``sr-kd train`` does, as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..distributed import World, joined
from ..errors import UsageError
from ..tasks.base import FinishedArm
from .check import CheckedRecipe, check_training_file
from .jobs import RecipeSource, job_count, run_jobs
from .lock import only_run_of
from .report import write_report
from .run import prepare_run, run_recipe
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
            seeds=seeds,
            resume=resume or continue_with,
            continue_with=continue_with,
            quiet=quiet,
            source=RecipeSource(recipe, f"sr_kd.train({recipe!r})", overrides, debug),
            jobs=jobs,
        )


def train_checked(
    checked: CheckedRecipe,
    world: World,
    *,
    seeds: Sequence[int],
    resume: bool,
    quiet: bool,
    source: RecipeSource,
    continue_with: bool = False,
    jobs: int | None = 1,
    watch: Callable[[], None] | None = None,
) -> TrainingResult:
    """As `train`, of a recipe that is checked, in a world that is joined.

    Args:
        source: where the recipe was read.
        jobs: as in `train`.
        watch: called on rank 0 after every validation and every phase; with several processes, after a phase alone.
    """
    if jobs != 1:
        if seeds or world.size > 1:
            raise UsageError("--jobs shares out all seeds of one machine: leave out --seeds and torchrun, or --jobs")
        before = Workspace(checked.recipe)
        with only_run_of(before.root):
            prepare_run(checked, before, world, resume, continue_with, source.invocation)
        run_jobs(before, source, job_count(jobs, before, world.device), world.device, quiet, watch)
        resume, continue_with = True, False
    workspace = run_recipe(
        checked,
        world,
        seeds=seeds,
        resume=resume,
        continue_with=continue_with,
        quiet=quiet,
        invocation=source.invocation,
        watch=watch,
    )
    unfinished = tuple(workspace.unfinished_seeds())
    if not world.leads or unfinished:
        return TrainingResult(workspace.root, (), unfinished)
    files = write_report(workspace, checked.data, world.device, source.command, quiet=quiet)
    return TrainingResult(workspace.root, tuple(files), unfinished, tuple(finished_arms(workspace)))
