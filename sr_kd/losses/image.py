"""What losses have in common that compare the student's image with another: HR, or the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from .base import Loss, LossInputs, TapPair
from .numerics import widen

Target = Literal["hr", "teacher"]


class ImageLoss(Loss):
    """Base of losses between SR and a target image.

    Args:
        target: what SR shall look like: "hr", or "teacher", the teacher's image.
    """

    tasks = ("super_resolution",)

    def __init__(self, pairs: Sequence[TapPair] = (), target: Target = "hr") -> None:
        super().__init__(pairs)
        self.target = target
        self.needs_teacher_output = target == "teacher"

    @classmethod
    def needs_teacher(cls, options: Mapping[str, Any]) -> bool:
        return options.get("target") == "teacher"

    def images(self, inputs: LossInputs) -> tuple[Tensor, Tensor]:
        """SR and its target, (N, C, H, W), float32 or wider; the target is detached."""
        target = inputs.teacher_output if self.target == "teacher" else inputs.hr
        return widen(inputs.trained_output), widen(target)
