"""Soft labels: the student's class probabilities follow the teacher's, softened by a temperature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from ...config.section import Positive
from ...errors import UsageError
from ...losses.base import Loss, LossInputs, TapPair
from ...losses.numerics import widen


def soft_label_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * mean over samples of KL(softmax(teacher / T) || softmax(student / T)); two logits (N, K).

    >>> import torch
    >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
    >>> soft_label_divergence(logits + 5, logits, temperature=4.0).abs() < 1e-6
    tensor(True)
    """
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


class SoftLabel(Loss):
    """Knowledge distillation (Hinton, Vinyals, Dean, 2015), for classifiers.

    Args:
        temperature: softens both distributions; the factor T^2 that keeps gradients on one scale for
            every temperature is always there.

    Usual beside a cross-entropy of weight 0.1: weight 0.9, temperature 4. For images use Response.

    Source: <https://arxiv.org/abs/1503.02531>
    """

    terms = ("soft_label",)
    tasks = ("classification",)
    needs_teacher_output = True

    def __init__(self, pairs: Sequence[TapPair] = (), temperature: Positive = 4.0) -> None:
        super().__init__(pairs)
        self.temperature = temperature

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        student, teacher = widen(inputs.trained_output), widen(inputs.teacher_output)
        if student.ndim != 2 or student.shape != teacher.shape:
            raise UsageError(
                f"loss SoftLabel compares logits (N, K) of the same classes; found {tuple(student.shape)} and "
                f"{tuple(teacher.shape)} (for images use the loss Response)"
            )
        return {"soft_label": soft_label_divergence(student, teacher, self.temperature)}
