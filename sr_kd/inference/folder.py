"""Many files: reading, computing and writing overlap, and a bad file stops nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from ..data.image import Image, check_holds, read_image, write_image
from ..errors import SrKdError
from ..progress import progress_bar
from .jobs import Job
from .sizing import Sizing
from .upscaler import Upscaler

READ_AHEAD = 2
WRITERS = 3
WAITING_BYTES = 256 * 2**20  # results that wait to be written may take this much memory, one always may


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: "done" with its size, "skipped" (there already) or "failed" with why."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    error: str | None = None
    size: tuple[int, int] | None = None  # (width, height) of the result
    seconds: float = 0.0


def upscale_files(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    sizing: Sizing = Sizing(),  # noqa: B008 (frozen)
    quality: int | None = None,
    skip_existing: bool = False,
    quiet: bool = False,
    report: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Upscale files one after another, while the next are read and the last are written.

    Args:
        upscaler: the model.
        jobs: what to read and where to write; from `plan_jobs`.
        sizing: the size of the results.
        quality: as in `write_image`.
        skip_existing: leave pictures alone whose result is there.
        quiet: no progress bar.
        report: called with every outcome as soon as it is known.

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
    with (
        progress_bar(0 if single else len(todo), "upscale", "tile" if single else "picture", quiet) as bar,
        ThreadPoolExecutor(READ_AHEAD) as readers,
        _Writer(quality) as writer,
    ):

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        for job, reading in _read_ahead(todo, readers):
            started = time.perf_counter()
            try:
                image = reading.result()
                size = sizing.size(image.height, image.width)
                height, width = size or (image.height * upscaler.scale, image.width * upscaler.scale)
                check_holds(job.target, width, height, transparent=image.alpha is not None)
                result = upscaler.upscale(image, size=size, progress=advance if single else None)
            except (SrKdError, MemoryError) as error:
                finish(Outcome(job, "failed", str(error) or "out of memory"))
                bar.update(not single)
                continue
            for outcome in writer.put(job, result, started):
                finish(outcome)
                bar.update(not single)
        for outcome in writer.drain():
            finish(outcome)
            bar.update(not single)
    return [outcomes[job] for job in jobs]


def _read_ahead(jobs: Sequence[Job], pool: ThreadPoolExecutor) -> Iterator[tuple[Job, Future[Image]]]:
    """The jobs in order, each with its picture, a few pictures being read in advance."""
    waiting: deque[tuple[Job, Future[Image]]] = deque()
    for job in jobs:
        waiting.append((job, pool.submit(read_image, job.source)))
        if len(waiting) > READ_AHEAD:
            yield waiting.popleft()
    yield from waiting


class _Writer:
    """Encodes and writes results in threads; bounded by the memory of what waits."""

    def __init__(self, quality: int | None) -> None:
        self._quality = quality
        self._pool = ThreadPoolExecutor(WRITERS)
        self._waiting: deque[tuple[int, Future[Outcome]]] = deque()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *details: Any) -> None:
        self._pool.shutdown(cancel_futures=True)

    def put(self, job: Job, image: Image, started: float) -> list[Outcome]:
        """Hand over a result; returns what is finished meanwhile."""
        size = image.pixels.nbytes + (0 if image.alpha is None else image.alpha.nbytes)
        finished = []
        while self._waiting and (
            self._waiting[0][1].done() or size + sum(waiting for waiting, _ in self._waiting) > WAITING_BYTES
        ):
            finished.append(self._waiting.popleft()[1].result())
        self._waiting.append((size, self._pool.submit(self._write, job, image, started)))
        return finished

    def drain(self) -> Iterator[Outcome]:
        """Wait for everything that was handed over."""
        while self._waiting:
            yield self._waiting.popleft()[1].result()

    def _write(self, job: Job, image: Image, started: float) -> Outcome:
        try:
            write_image(job.target, image, quality=self._quality)
        except (SrKdError, MemoryError) as error:
            return Outcome(job, "failed", str(error) or "out of memory")
        return Outcome(job, "done", None, (image.width, image.height), time.perf_counter() - started)
