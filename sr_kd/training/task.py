"""What a task is to the trainer: its batches, how networks see them, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from torch import Tensor

from ..losses.base import LossInputs, NetworkOutput, TeacherTail
from ..networks.base import Network

Scores = dict[str, dict[str, float]]
# (set, image, pixels (H, W, C) uint8, a strip of what it is compared with for one image of a set, else None); may be
# called from several threads
Keep = Callable[[str, str, np.ndarray, np.ndarray | None], None]


class Task(Protocol):
    """The part of training that differs between super-resolution, classification and detection.

    A class of its own need not derive from it; one that does has only to say what is not as usual.

    Attributes:
        recurs: after how many batches they come again, in any order; 0: never.
    """

    recurs: int = 0

    def batch(self, index: int) -> LossInputs:
        """This rank's share of the global batch with this index, its images and labels: a pure function of seed and
        index. For classification and detection, `hr` is `lr`."""

    def view(self, network: Network, inputs: LossInputs, taps: Iterable[str], output: bool) -> NetworkOutput:
        """What a network makes of the batch; a privileged one is shown HR."""

    def seen_by(self, network: Network, image: Tensor) -> Tensor:
        """A batch of images, or another network's output, in the form that this network works in.

        Raises:
            UsageError: it cannot be brought into that form.
        """
        return image

    def tail(self, network: Network, inputs: LossInputs, view: NetworkOutput) -> TeacherTail:
        """(tap, feature) -> output, through the network's layers behind the tap."""

    def validate(self, network: Network, keep: Keep | None = None) -> Scores:
        """Set name -> metric -> mean; the same on every rank. `keep` is given this rank's images."""

    def report(self, network: Network) -> dict[str, float]:
        """What is worth knowing of a trained network beyond its scores (a privileged teacher's nature)."""
        return {}

    def close(self) -> None:
        """End whatever reads the data."""
