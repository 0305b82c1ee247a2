"""Worker processes that cut patches into shared memory."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ..errors import SrKdError
from .image_set import ImageSet
from .parallel import process_start, start_worker, worker_context
from .patch_reader import PatchReader
from .sampler import Draw

_SHARED = Path("/dev/shm")  # where Linux keeps shared memory; containers often make it small
_PATIENCE = 5.0  # seconds that a worker is given to end


class Slot(NamedTuple):
    """Room for the patches of a batch: (N, S, S, C) uint8 each."""

    lr: Tensor
    hr: Tensor


class PatchRequest(NamedTuple):
    """A patch, and its place in the batch."""

    place: int
    image: int
    top: int
    left: int


def make_slots(images: ImageSet, patch: int, batch_size: int, count: int, shared: bool) -> list[Slot]:
    """Room for `count` batches.

    Raises:
        SrKdError: too little shared memory; writing there would kill the process.
    """
    shapes = [(batch_size, side, side, images.channels) for side in (patch, patch * images.scale)]
    needed = count * sum(torch.Size(shape).numel() for shape in shapes)
    if shared and _SHARED.is_dir() and (free := shutil.disk_usage(_SHARED).free) < needed:
        raise SrKdError(
            f"streaming needs {needed / 2**20:.0f} MiB of shared memory and {_SHARED} has {free / 2**20:.0f} free: "
            "enlarge it (docker run --shm-size), or read without workers (num_worker_per_gpu: 0)"
        )
    slots = [Slot(*(torch.empty(shape, dtype=torch.uint8) for shape in shapes)) for _ in range(count)]
    if shared:
        for tensor in (tensor for slot in slots for tensor in slot):
            tensor.share_memory_()
    return slots


def fill(slot: Slot, requests: Sequence[PatchRequest], reader: PatchReader) -> None:
    """Cut the patches into their places."""
    lr, hr = slot.lr.numpy(), slot.hr.numpy()
    for request in requests:
        lr[request.place], hr[request.place] = reader.cut(request.image, request.top, request.left)


def requests_of(draw: Draw) -> list[PatchRequest]:
    """The patches of a draw."""
    return [
        PatchRequest(place, *where)
        for place, where in enumerate(zip(draw.image.tolist(), draw.top.tolist(), draw.left.tolist(), strict=True))
    ]


class Readers:
    """Processes that fill slots. Every image belongs to one of them, so that their caches do not overlap.

    Args:
        images: the set.
        patch: side of the LR patch.
        slots: shared room, see :func:`make_slots`.
        cache_bytes: of decoded images kept, over all processes.
        workers: number of processes, at least 1.
    """

    def __init__(self, images: ImageSet, patch: int, slots: list[Slot], cache_bytes: float, workers: int) -> None:
        context = worker_context()
        self._processes: list[BaseProcess] = []
        self._connections: list[Connection] = []
        self._unfinished = [0] * len(slots)
        self._end = weakref.finalize(self, _end, self._processes, self._connections)
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, images, patch, slots, cache_bytes / workers), daemon=True
            )
            with process_start():
                process.start()
                theirs.close()  # so that a dead worker is an end of file
                self._processes.append(process)
                self._connections.append(ours)

    def submit(self, slot: int, draw: Draw) -> None:
        """Have the patches of a draw put into a slot.

        Raises:
            SrKdError: a worker has died.
        """
        requests = requests_of(draw)
        for worker, connection in enumerate(self._connections):
            share = [request for request in requests if request.image % len(self._connections) == worker]
            if share:
                try:
                    connection.send((slot, share))
                except OSError:
                    raise self._death(connection) from None
                self._unfinished[slot] += 1

    def wait(self, slot: int) -> None:
        """Until the slot is filled.

        Raises:
            SrKdError: an image that cannot be read, or a worker that has died.
        """
        while self._unfinished[slot]:
            for connection in cast(list[Connection], wait(self._connections)):
                try:
                    filled, error = connection.recv()
                except (EOFError, OSError):
                    raise self._death(connection) from None
                if error is not None:
                    raise SrKdError(error)
                self._unfinished[filled] -= 1

    def close(self) -> None:
        """End the processes."""
        self._end()

    def _death(self, connection: Connection) -> SrKdError:
        process = self._processes[self._connections.index(connection)]
        process.join(_PATIENCE)
        code = process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return SrKdError(
            f"a process that reads images {how}; where memory is short, lower memory_budget or num_worker_per_gpu"
        )


def _end(processes: list[BaseProcess], connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()  # a worker ends when its pipe does
    for process in processes:
        process.join(_PATIENCE)
        if process.is_alive():
            process.terminate()
            process.join()


def _serve(connection: Connection, images: ImageSet, patch: int, slots: list[Slot], cache_bytes: float) -> None:
    """The life of a worker: fill slots until the main process hangs up."""
    start_worker()
    reader = PatchReader(images, patch, cache_bytes)
    with suppress(EOFError, OSError):
        while True:
            slot, requests = connection.recv()
            try:
                fill(slots[slot], requests, reader)
            except SrKdError as error:
                connection.send((slot, str(error)))
            else:
                connection.send((slot, None))
