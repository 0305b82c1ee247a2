"""Softmax regression representation learning, and its counterpart for images: the teacher's head judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from .base import Loss, LossInputs, TapPair
from .numerics import widen
from .shapes import resize_to


class SRRL(Loss):
    """SRRL (Yang, Martinez, Bulat, Tzimiropoulos, ICLR 2021), summed over the taps.

    A connector r brings the student's map to the teacher's width. Two terms:
    "feature_matching", mean (r(S) - T)^2 over all elements, or over spatial means; and "regression", the
    distance of the teacher's frozen tail applied to r(S) from the teacher's own output: SR images for
    super-resolution, logits for classification. Gradients pass through the tail to the student.

    Args:
        pairs: taps; the teacher's must be cuts. The student's map is brought to the teacher's size.
        connector: "auto", a 1x1 convolution where the widths differ and nothing where they agree;
            "always".
        use_bn, use_relu: batch norm and ReLU after the connector's convolution (the paper's, for
            classifiers; a ReLU cannot reproduce the negative side of a PReLU feature).
        pool: "none", dense matching, for SR; "gap", of spatial means, as in the paper.
        regression: "l2", mean square (the method), or "l1".

    The size does not depend on the patch. Starting weights for SR with an L1 loss on [0, 1]: 1 and 1 (the
    regression term with "l1" is on the scale of the task loss).

    Source: <https://openreview.net/forum?id=ZzwDy_wiWv>
    """

    terms = ("feature_matching", "regression")
    needs_pairs = True
    needs_teacher_output = True
    needs_teacher_tail = True

    def __init__(
        self,
        pairs: Sequence[TapPair],
        connector: Literal["auto", "always"] = "auto",
        use_bn: bool = False,
        use_relu: bool = False,
        pool: Literal["none", "gap"] = "none",
        regression: Literal["l1", "l2"] = "l2",
    ) -> None:
        super().__init__(pairs)
        self.pool, self.regression = pool, regression
        self.connectors = nn.ModuleDict()
        for pair in self.pairs:
            student, teacher = pair.student_tap.channels, pair.teacher_tap.channels
            if connector == "auto" and student == teacher and not (use_bn or use_relu):
                self.connectors[pair.key] = nn.Identity()
            else:
                self.connectors[pair.key] = _connector(student, teacher, use_bn, use_relu)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        if inputs.teacher_tail is None:
            raise UsageError("loss SRRL continues from the teacher's tap, and this teacher offers no tail")
        distance = functional.l1_loss if self.regression == "l1" else functional.mse_loss
        matching, regression = [], []
        for pair, student, teacher in self.compared(inputs):
            connected = resize_to(self.connectors[pair.key](student), (teacher.shape[2], teacher.shape[3]))
            matching.append(feature_matching(widen(connected), widen(teacher), self.pool))
            output = inputs.teacher_tail(pair.teacher, connected)
            regression.append(distance(widen(output), widen(inputs.teacher_output)))
        return {"feature_matching": torch.stack(matching).sum(), "regression": torch.stack(regression).sum()}


def feature_matching(student: Tensor, teacher: Tensor, pool: Literal["none", "gap"] = "none") -> Tensor:
    """mean (S - T)^2 of two (N, C, H, W), dense or of their spatial means."""
    difference = student - teacher
    return (difference.mean((2, 3)) if pool == "gap" else difference).square().mean()


def _connector(student: int, teacher: int, use_bn: bool, use_relu: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(student, teacher, 1, bias=False)]
    if use_bn:
        layers.append(nn.BatchNorm2d(teacher))
    if use_relu:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
