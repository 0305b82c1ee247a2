"""A detector's own loss."""

from __future__ import annotations

from torch import Tensor

from ...errors import UsageError
from ...losses.base import Loss, LossInputs
from ...losses.numerics import widen


class Detection(Loss):
    """What the detector itself makes of the true boxes and classes, the task loss of detection.

    Its terms are described in `networks.detector.FCOS.losses`.
    """

    terms = ("classification", "box", "center")
    tasks = ("detection",)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        if not inputs.trained.losses:
            raise UsageError("loss Detection needs a detector, which this task does not train")
        return {term: widen(inputs.trained.losses[term]) for term in self.terms}
