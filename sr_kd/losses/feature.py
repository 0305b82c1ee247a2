"""Plain distance of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from .base import TapPair
from .numerics import widen
from .shapes import match_size
from .taps import TapLoss

Distance = Literal["l1", "l2"]


def feature_distance(student: Tensor, teacher: Tensor, distance: Distance) -> Tensor:
    """mean |S - T| or mean (S - T)^2 of two (N, C, H, W); the larger map is averaged down first."""
    measure = functional.l1_loss if distance == "l1" else functional.mse_loss
    return measure(*match_size(widen(student), widen(teacher)))


class Feature(TapLoss):
    """mean |S - T| or mean (S - T)^2 per tap, summed over the taps; the baseline of every feature loss.

    Args:
        pairs: any number of taps. Where the widths differ, a 1x1 convolution (trained with the student)
            brings the student's map to the teacher's; where they agree there is no adapter.
        distance: "l1" (PISR's ablation calls it MAE) or "l2".

    The size follows the features' magnitude, not the patch. Starting weight for SR with an L1 loss on
    [0, 1]: 0.1 to 1.
    """

    terms = ("feature",)

    def __init__(self, pairs: Sequence[TapPair], distance: Distance = "l1") -> None:
        super().__init__(pairs)
        self.distance = distance
        self.adapters = nn.ModuleDict(
            {
                pair.key: nn.Identity()
                if pair.student_tap.channels == pair.teacher_tap.channels
                else nn.Conv2d(pair.student_tap.channels, pair.teacher_tap.channels, 1)
                for pair in self.pairs
            }
        )

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        return feature_distance(student, teacher, self.distance)

    def adapted(self, pair: TapPair, student: Tensor) -> Tensor:
        return self.adapters[pair.key](student)
