"""Many files: reading, computing and writing overlap, and a bad file stops nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Condition, Event, Lock, Semaphore
from typing import Literal

import torch

from ..errors import SrKdError
from ..files import claim
from ..images import Image, check_holds, read_image, write_image
from ..progress import progress_bar
from .jobs import Job
from .sizing import Sizing
from .tiling import Progress
from .upscaler import Upscaler

logger = logging.getLogger(__name__)
READ_AHEAD = 2  # images that are read or wait for their turn
OVERLAP = 4  # images in work where one is computed at a time: the others are read or written
AT_ONCE = 16  # where several are computed at once
LARGE = 2**25  # bytes of what a network makes (11 megapixels of 8-bit RGB) from which an image gets all threads
AGAIN = 0.2  # seconds after which images that another process is at are looked at again
WAITING_BYTES = 2**28  # results that are written may take this much memory, one always may


@dataclass(frozen=True)
class Outcome:
    """What became of one image: "done" with its size, "skipped" (there already) or "failed" with why."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    error: str | None = None
    size: tuple[int, int] | None = None  # (width, height) of the result
    seconds: float = 0.0
    notes: tuple[str, ...] = ()  # what of the file could not be kept


def upscale_files(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    sizing: Sizing = Sizing(),  # noqa: B008 (frozen)
    quality: int | None = None,
    skip_existing: bool = False,
    quiet: bool = False,
    report: Callable[[Outcome], None] | None = None,
    title: str = "upscale",
) -> list[Outcome]:
    """Upscale files, several of them in work at a time.

    Args:
        upscaler: the model.
        jobs: what to read and where to write; from `plan_jobs`.
        sizing: the size of the results.
        quality: as in `write_image`.
        skip_existing: leave images alone whose result is there, or is made meanwhile by another process that does so.
        quiet: no progress bar.
        report: called with every outcome as soon as it is known; again at the end for a result that is not there then.
        title: of the progress bar.

    Returns:
        One outcome per job, in order.
    """
    outcomes: dict[Job, Outcome] = {}

    def finish(outcome: Outcome) -> None:
        outcomes[outcome.job] = outcome
        if report is not None:
            report(outcome)

    todo = []
    for job in jobs:
        if skip_existing and job.target.exists():
            finish(Outcome(job, "skipped"))
        else:
            todo.append(job)
    single = len(todo) == 1  # then the bar counts tiles
    with progress_bar(0 if single else len(todo), title, "tile" if single else "image", quiet) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        progress = advance if single else None
        with _FolderPipeline(upscaler, sizing, quality, skip_existing, len(todo), progress) as pipeline:
            for outcome in pipeline.outcomes(todo):
                finish(outcome)
                bar.update(not single)
    for job in jobs:
        if outcomes[job].status != "failed" and not job.target.exists():
            finish(Outcome(job, "failed", f"its result {job.target} was removed meanwhile: run the same command again"))
    return [outcomes[job] for job in jobs]


class _FolderPipeline:
    """Threads that each take an image from its file to the file of its result.

    A CPU's cores share a large image tile by tile and have small ones for themselves: cores that share wait
    for each other, and a core that encodes keeps all the others waiting. Other devices compute one at a time.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        sizing: Sizing,
        quality: int | None,
        shares: bool,
        count: int,
        progress: Progress | None,
    ) -> None:
        self._upscaler, self._sizing, self._quality, self._progress = upscaler, sizing, quality, progress
        self._shares = shares  # the folder with other processes
        self._threads = torch.get_num_threads()
        workers = min(count, self._threads, upscaler.concurrent_images, AT_ONCE)
        self._side_by_side = workers > 1
        if not self._side_by_side:
            workers = min(count, OVERLAP)
        self._share = max(1, self._threads // workers) if self._side_by_side else self._threads
        self._pool = ThreadPoolExecutor(max(1, workers), initializer=torch.set_num_threads, initargs=(self._share,))
        self._ended = Event()
        self._reading, self._all_threads, self._results = Semaphore(READ_AHEAD), Lock(), _MemoryBudget(WAITING_BYTES)

    def __enter__(self) -> _FolderPipeline:
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)  # of threads that begin later

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Of every job, as they are finished; last those that another process was at and has not made."""
        while jobs:
            futures = {self._pool.submit(self._work, job): job for job in jobs}
            jobs = []
            for done in as_completed(futures):
                outcome = done.result()
                if outcome is None:
                    jobs.append(futures[done])
                else:
                    yield outcome
            if jobs:
                time.sleep(AGAIN)

    def _work(self, job: Job) -> Outcome | None:
        """None: another process is at it."""
        try:
            if not self._shares:
                return self._upscale(job)
            with claim(job.target) as alone:
                if not alone:
                    return None
                return Outcome(job, "skipped") if job.target.exists() else self._upscale(job)
        except _EndedError:
            raise
        except (SrKdError, MemoryError) as error:
            return Outcome(job, "failed", str(error) or "out of memory")
        except Exception as error:  # whatever an image leads to is its own matter: the others go on
            logger.debug("%s", job.source, exc_info=True)
            return Outcome(job, "failed", f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")

    def _upscale(self, job: Job) -> Outcome:
        with ExitStack() as writing:
            with ExitStack() as computing:
                with self._reading:
                    image = read_image(job.source)
                    size, needed = self._plan(job, image)
                    computing.enter_context(self._turn(max(needed, image.nbytes * self._upscaler.scale**2)))
                started = time.perf_counter()
                self._advance(0, 1)
                result = self._upscaler.upscale(image, size=size, progress=self._advance)
                writing.enter_context(self._results.hold(needed))
            lost = write_image(job.target, result, quality=self._quality)
        seconds = time.perf_counter() - started
        return Outcome(job, "done", None, (result.width, result.height), seconds, (*image.notes, *lost))

    def _advance(self, done: int, total: int) -> None:
        """After every tile: show it, and stop where nobody waits for the rest."""
        if self._ended.is_set():
            raise _EndedError
        if self._progress is not None and done:
            self._progress(done, total)

    def _plan(self, job: Job, image: Image) -> tuple[tuple[int, int] | None, int]:
        """((height, width) of the result where it is wished for, its bytes); refuses what its file could not hold."""
        size = self._sizing.size(image.height, image.width)
        height, width = size or (image.height * self._upscaler.scale, image.width * self._upscaler.scale)
        check_holds(job.target, image, width, height)
        return size, image.nbytes * height * width // (image.height * image.width)

    @contextmanager
    def _turn(self, largest: int) -> Iterator[None]:
        """Small images at once, each with a share of the threads; others one after the other, with all of them."""
        if self._side_by_side and largest < LARGE:
            yield
            return
        with self._all_threads:
            torch.set_num_threads(self._threads)
            try:
                yield
            finally:
                torch.set_num_threads(self._share)


class _EndedError(Exception):
    """The caller has left, by an interrupt or an error: what is half done is given up."""


class _MemoryBudget:
    """Memory for results: blocks until the bytes fit; a single result may exceed the limit."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken, self._changed = limit, 0, Condition()

    @contextmanager
    def hold(self, needed: int) -> Iterator[None]:
        """Take so many bytes for the time of the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + needed <= self._limit)
            self._taken += needed
        try:
            yield
        finally:
            with self._changed:
                self._taken -= needed
                self._changed.notify_all()
