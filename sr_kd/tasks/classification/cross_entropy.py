"""Cross-entropy with the true classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from ...config.section import Fraction
from ...errors import UsageError
from ...losses.base import Loss, LossInputs, TapPair
from ...losses.numerics import widen


class CrossEntropy(Loss):
    """mean -log softmax(logits)[label], the task loss of classification.

    Args:
        label_smoothing: share of the target spread evenly over all classes.
    """

    terms = ("cross_entropy",)
    tasks = ("classification",)

    def __init__(self, pairs: Sequence[TapPair] = (), label_smoothing: Fraction = 0.0) -> None:
        super().__init__(pairs)
        self.label_smoothing = label_smoothing

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        if not isinstance(inputs.labels, Tensor):
            raise UsageError("loss CrossEntropy needs class labels, which this task does not have")
        logits = widen(inputs.trained_output)
        value = functional.cross_entropy(logits, inputs.labels, label_smoothing=self.label_smoothing)
        return {"cross_entropy": value}
