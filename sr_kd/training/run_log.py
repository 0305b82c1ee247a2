"""What a run leaves to read: a text log, TensorBoard events, and a file of scalars."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from .scalars import ScalarFile

logger = logging.getLogger("sr_kd")


class RunLog:
    """Scalars and images of one phase's run, on rank 0; silent elsewhere.

    Args:
        folder: TensorBoard folder, or None for no events.
        start: the iteration the run (re)starts from; later steps of an interrupted run are purged.
        scalars: file of the same scalars for reports, or None.
    """

    def __init__(self, folder: Path | None, start: int, scalars: Path | None = None) -> None:
        self._writer: Any = None
        self._scalars = None if scalars is None else ScalarFile(scalars, start)
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=start + 1)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Record scalars after `iteration` finished iterations."""
        if self._scalars is not None and values:
            self._scalars.add(iteration, values)
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, iteration)

    def image(self, iteration: int, name: str, image: torch.Tensor) -> None:
        """Record an image (C, H, W) in [0, 1]."""
        if self._writer is not None:
            self._writer.add_image(name, image.clamp(0, 1), iteration)

    def flush(self) -> None:
        """Write what was recorded to the disk."""
        if self._writer is not None:
            self._writer.flush()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def log_to_file(path: Path) -> logging.Handler:
    """Append everything the package logs to a text file; remove the handler when done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return handler
