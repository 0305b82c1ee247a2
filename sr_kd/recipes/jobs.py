"""Independent phases and seeds of a recipe side by side: one process each, which share the cores or the GPUs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..config.plugins import load_plugins
from ..data.parallel import signals_later
from ..device import pick_device
from ..distributed import World
from ..errors import SrKdError
from ..progress import progress_bar
from ..training.scalars import FILE, read_scalars
from .check import check_training_file
from .graph import phases_before
from .invocation import Invocation
from .run import run_recipe
from .run_options import RunOptions
from .workspace import Workspace

POLL = 1.0  # seconds between two looks at how far the processes are
KILLED = "its process was killed, perhaps for want of memory: try fewer --jobs"


class PhaseJob(NamedTuple):
    """One phase of one seed."""

    phase: str
    seed: int


class Running(NamedTuple):
    """A job with its process, and what that has to say when it fails."""

    job: PhaseJob
    process: SpawnProcess
    answer: Connection


@dataclass(frozen=True)
class RecipeSource:
    """Where a recipe was read, for processes that read it again.

    Attributes:
        file: its plug-ins are named relative to it.
        command: the whole command line as text, for the record of the run and the foot of its table.
        plugins: named on the command line.
    """

    file: str | Path
    command: str
    overrides: Sequence[str] = ()
    debug: bool = False
    plugins: Sequence[str] = ()

    @property
    def invocation(self) -> Invocation:
        """For the record of the run."""
        return Invocation(str(self.file), self.command)


def job_count(wanted: int | None, workspace: Workspace, device: torch.device) -> int:
    """How many processes; None for one per GPU or core, as far as there are jobs that can run beside each other."""
    recipe = workspace.recipe
    generations: dict[int, int] = {}
    for phase in recipe.phases:
        depth = len(phases_before(recipe, phase))
        generations[depth] = generations.get(depth, 0) + len(recipe.seeds)
    workers = torch.cuda.device_count() if device.type == "cuda" else torch.get_num_threads()
    return min(wanted or workers, max(generations.values()))


def run_jobs(
    workspace: Workspace,
    source: RecipeSource,
    processes: int,
    device: torch.device,
    quiet: bool = False,
    finished: Callable[[], None] | None = None,
) -> None:
    """Run all that is not finished of a prepared workspace. A phase begins when all that it needs is finished.

    Every process has its share of this one's threads. Its results have the same bits as those of a run with
    as many threads, one phase after the other.

    Args:
        finished: called after every job.

    Raises:
        SrKdError: what failed, a line each; the other jobs were finished all the same. Or stopped on request.
    """
    recipe = workspace.recipe
    jobs = [PhaseJob(phase, seed) for seed in recipe.seeds for phase in recipe.phases]
    waiting = {job: {PhaseJob(phase, job.seed) for phase in phases_before(recipe, job.phase)} for job in jobs}
    for job in jobs:
        if workspace.result(*job) is not None:
            _settle(waiting, job)
    failed: dict[PhaseJob, str] = {}
    running: dict[Any, Running] = {}
    context = multiprocessing.get_context("spawn")
    alive, ends = context.Pipe(duplex=False)
    threads = max(1, torch.get_num_threads() // processes)
    with (
        closing(alive),
        closing(ends),
        progress_bar(sum(recipe.length(job.phase) for job in jobs), recipe.name, quiet=quiet) as bar,
    ):
        try:
            while waiting or running:
                for job in [job for job, needs in waiting.items() if not needs][: processes - len(running)]:
                    del waiting[job]
                    answer, tells = context.Pipe(duplex=False)
                    where = _device(device, len(jobs) - len(waiting))
                    process = context.Process(target=_work, args=(alive, tells, threads, source, job, where))
                    with signals_later():
                        process.start()
                        tells.close()
                        running[process.sentinel] = Running(job, process, answer)
                for sentinel in wait(list(running), POLL):
                    job, process, answer = running.pop(sentinel)
                    process.join()
                    if process.exitcode == 0:
                        _settle(waiting, job)
                    else:
                        failed[job] = answer.recv() if answer.poll() else KILLED
                        waiting = {other: needs for other, needs in waiting.items() if job not in needs}
                    if finished is not None:
                        finished()
                bar.update(sum(_done(workspace, job) for job in jobs) - bar.n)
        except KeyboardInterrupt:
            ends.close()  # every process saves its state and ends
            for _, process, _ in running.values():
                process.join()
            raise SrKdError(f"stopped {len(running)} phases; continue with --auto_resume") from None
    if failed:
        raise SrKdError("\n".join(f"{workspace.run_name(*job)}: {problem}" for job, problem in failed.items()))


def _settle(waiting: dict[PhaseJob, set[PhaseJob]], job: PhaseJob) -> None:
    waiting.pop(job, None)
    for needs in waiting.values():
        needs.discard(job)


def _done(workspace: Workspace, job: PhaseJob) -> int:
    logged = read_scalars(workspace.states(*job).folder / FILE)
    return min(workspace.recipe.length(job.phase), max((iteration for iteration, _ in logged), default=0))


def _device(device: torch.device, number: int) -> str:
    count = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 0
    return f"cuda:{number % count}" if count > 1 else str(device)


def _work(alive: Connection, tells: Connection, threads: int, source: RecipeSource, job: PhaseJob, device: str) -> None:
    """In a process of its own: one job. It ends with its state saved when the parent stops it or is no more."""

    def watch() -> None:
        with suppress(OSError):
            alive.poll(None)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        load_plugins(source.plugins, Path.cwd())
        checked = check_training_file(source.file, source.overrides, debug=source.debug)
        world = World(0, 1, pick_device(device))
        run_recipe(checked, world, RunOptions([job.seed], [job.phase], resume=True, invocation=source.invocation))
    except SrKdError as error:
        with suppress(OSError):  # the parent is no more
            tells.send(str(error))
        sys.exit(error.exit_code)
