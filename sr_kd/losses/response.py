"""Response distillation: the student's image follows the teacher's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .base import Loss, LossInputs
from .numerics import widen


class Response(Loss):
    """mean |SR_student - SR_teacher|, what the super-resolution literature calls logits distillation.

    On the scale of an L1 task loss whatever the patch: FAKD (He et al., ICIP 2020) gives both 0.5. The
    image of a privileged teacher is close to HR, so it adds little there.
    """

    terms = ("response",)
    needs_teacher_output = True

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        return {"response": functional.l1_loss(widen(inputs.trained_output), widen(inputs.teacher_output))}
