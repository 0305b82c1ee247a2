"""Sharing files among the processes that torchrun starts, on one machine or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed

from ..errors import SrKdError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among its peers. A single process is rank 0 of 1."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def agree(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, given to all; its SrKdError is raised by all."""
        if self.size == 1:
            return make()
        box: list[object] = [None]
        if self.rank == 0:
            try:
                box = [make()]
            except SrKdError as error:
                box = [error]
        torch.distributed.broadcast_object_list(box, src=0)
        if isinstance(box[0], SrKdError):
            raise box[0]
        return box[0]  # type: ignore[return-value]

    def share(self, items: Sequence[T]) -> list[T]:
        """This rank's part: every item belongs to exactly one rank."""
        return list(items[self.rank :: self.size])

    def gather(self, items: list[T]) -> list[T]:
        """All ranks' parts, put back in order on every rank."""
        if self.size == 1:
            return items
        parts: list[list[T]] = [[] for _ in range(self.size)]
        torch.distributed.all_gather_object(parts, items)
        whole: list[T] = [item for part in parts for item in part]
        for rank, part in enumerate(parts):
            whole[rank :: self.size] = part
        return whole

    def device(self, name: str) -> str:
        """The device for this rank: its own GPU where torchrun started one process for each."""
        if self.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return name


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """This process's place among those that torchrun started; rank 0 of 1 without torchrun.

    Raises:
        UsageError: torchrun's environment is incomplete.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UsageError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set: start with torchrun")
    # The slowest rank may need hours longer than the fastest, which waits for it in gather().
    torch.distributed.init_process_group("gloo", timeout=timedelta(days=30))
    try:
        yield Ranks(torch.distributed.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        torch.distributed.destroy_process_group()
