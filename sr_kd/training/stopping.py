"""Stopping on request: Ctrl-C or SIGTERM ends a run after the iteration at hand, with its state saved."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

import torch

from ..distributed import World


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def requested(self, world: World) -> bool:
        """Whether any process was asked to stop; the same answer on every rank."""
        if world.size == 1:
            return self._asked
        asked = torch.tensor(int(self._asked), device=world.device)
        torch.distributed.all_reduce(asked)
        return bool(asked.item())

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[number])
