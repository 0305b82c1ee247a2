"""Hints: a regressor on the student's map predicts the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .base import TapPair
from .feature import Distance, feature_distance
from .taps import TapLoss


class Hint(TapLoss):
    """FitNets' hint loss (Romero et al., ICLR 2015, equation 3, without its 1/2), summed over the taps.

    A convolution, trained with the student, regresses the teacher's feature from the student's. It has
    neither batch norm nor ReLU: a ReLU cannot reproduce the negative side of a PReLU feature. FitNets' two
    stages are two phases: one with this loss alone, the next starting from its result.

    Args:
        pairs: any number of taps; where the two maps differ in size the larger is averaged down.
        distance: "l2", mean square (the paper), or "l1".

    The size follows the features' magnitude, not the patch. Starting weight for SR with an L1 loss on
    [0, 1]: 1 with features around 1, 100 with features around 0.1.

    Source: <https://arxiv.org/abs/1412.6550>
    """

    terms = ("hint",)

    def __init__(self, pairs: Sequence[TapPair], distance: Distance = "l2") -> None:
        super().__init__(pairs)
        self.distance = distance
        self.regressors = nn.ModuleDict(
            {pair.key: nn.Conv2d(pair.student_tap.channels, pair.teacher_tap.channels, 1) for pair in self.pairs}
        )

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        return feature_distance(student, teacher, self.distance)

    def adapted(self, pair: TapPair, student: Tensor) -> Tensor:
        return self.regressors[pair.key](student)
