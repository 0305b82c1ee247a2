"""What a run leaves to read: a text log, TensorBoard events, and a file of scalars."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from ..files import check_own_file
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
        self._excepthook = threading.excepthook
        self._scalars = None if scalars is None else ScalarFile(scalars, start)
        # A validation that was due at `start` comes again: TensorBoard forgets the step and is told the rest once more.
        repeated = self._scalars.last if self._scalars is not None and folder is not None else {}
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            with self._disk_may_be_full():
                self._writer = SummaryWriter(str(folder), purge_step=start if repeated else start + 1)
        for name, value in repeated.items():
            self._tell("add_scalar", name, value, start)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Record scalars after `iteration` finished iterations."""
        if self._scalars is not None and values:
            self._scalars.add(iteration, values)
        for name, value in values.items():
            self._tell("add_scalar", name, value, iteration)

    def hyperparameters(self, options: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Record what was chosen, and what came of it, so that runs can be compared in TensorBoard's HParams.

        Args:
            options: by name; numbers, texts and truth values.
            scores: of the end.
        """
        named = {f"hparam/{key}": value for key, value in scores.items()}
        self._tell("add_hparams", dict(options), named, run_name=".")

    def image(self, iteration: int, name: str, image: torch.Tensor) -> None:
        """Record an image (C, H, W) in [0, 1]."""
        self._tell("add_image", name, image.clamp(0, 1), iteration)

    @property
    def takes_images(self) -> bool:
        """Whether images are recorded at all."""
        return self._writer is not None

    def text(self, name: str, text: str) -> None:
        """Record a text as it is."""
        self._tell("add_text", name, "".join(f"    {line}\n" for line in text.splitlines()))

    def flush(self) -> None:
        """Write what was recorded to the disk."""
        self._tell("flush")

    def _tell(self, what: str, *arguments: Any, **options: Any) -> None:
        """Call a method of TensorBoard's writer, if there is one."""
        with self._disk_may_be_full():
            if self._writer is not None:
                getattr(self._writer, what)(*arguments, **options)

    @contextmanager
    def _disk_may_be_full(self) -> Iterator[None]:
        """Events are no reason to end a training: after the first that cannot be written, no more are."""
        try:
            yield
        except OSError as error:
            self._writer = None
            logger.warning("TensorBoard's events cannot be written (%s): training goes on without", error)

    def __enter__(self) -> RunLog:
        threading.excepthook = self._in_thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell("close")
        threading.excepthook = self._excepthook

    def _in_thread(self, found: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread of its own, and hands its error on to the next call besides."""
        if not (self._writer is not None and isinstance(found.exc_value, OSError)):
            self._excepthook(found)


def log_to_file(path: Path) -> logging.Handler:
    """Append everything the package logs to a text file; remove the handler when done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    check_own_file(path)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return handler
