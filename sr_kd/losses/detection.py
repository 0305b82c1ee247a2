"""A detector's own loss."""

from __future__ import annotations

from torch import Tensor

from ..errors import UsageError
from .base import Exchange, FeatureLoss
from .numerics import widen


class Detection(FeatureLoss):
    """What the detector itself makes of the true boxes and classes, the task loss of detection.

    Its terms are described in `archs.detector.FCOS.losses`.
    """

    terms = ("classification", "box", "centre")

    def forward(self, exchange: Exchange) -> dict[str, Tensor]:
        if not exchange.student.losses:
            raise UsageError("loss Detection needs a detector, which this task does not train")
        return {term: widen(exchange.student.losses[term]) for term in self.terms}
