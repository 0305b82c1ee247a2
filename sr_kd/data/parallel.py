"""Work on many items in several processes, with results in order and bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import cv2
import torch

from ..errors import SrKdError

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 4  # items that wait for each process


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of every item, in order, computed by `workers` processes (0 or 1: by this one).

    Raises:
        SrKdError: a process was killed. What `function` raises is raised here.
    """
    if workers < 2:
        yield from map(function, items)
        return
    executor = ProcessPoolExecutor(workers, mp_context=worker_context(), initializer=start_worker)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            with process_start():  # it may be one
                waiting.append(executor.submit(function, item))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise SrKdError("a worker process was killed, perhaps for want of memory: try fewer workers") from None
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def process_start() -> Iterator[None]:
    """The block starts a worker process, which no signal interrupts.

    Raises:
        SrKdError: the server process that workers fork off was killed.
    """
    try:
        with signals_later():
            yield
    except (EOFError, ConnectionError):
        raise SrKdError(
            "the process that starts the workers was killed, perhaps for want of memory: try fewer workers"
        ) from None


@contextmanager
def signals_later() -> Iterator[None]:
    """What stops the program does so at the end of the block, which starts a process: else nobody would know of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def worker_context() -> ForkServerContext | SpawnContext:
    """How worker processes are started: never forked off this process, whose threads they could hang on.

    They fork off a server process that has the imports behind it, where the system has that.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sr_kd.data.readers", "sr_kd.data.prepare"])
    return context


def start_worker() -> None:
    """Settings of a worker process: one thread, an interrupt is left to the main process, and its end is ours."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _end_with_parent() -> None:
    """A pool's workers share a pipe, so that they would not learn by it that the main process was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
