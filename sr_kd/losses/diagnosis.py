"""Before a run: how large each loss is, and how large its gradient at the student is, relative to the task loss'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Loss, LossInputs


@dataclass(frozen=True)
class Diagnosis:
    """One term of one loss on one batch, unweighted.

    Attributes:
        name: ``<loss>/<term>``.
        value: of the term.
        gradient: norm of its gradient at the loss's student taps (all taps, for a loss that names none), or at
            the student's parameters where it does not pass through a tap (Upcycling).
        ratio: that norm over the task loss's at the same place.
    """

    name: str
    value: float
    gradient: float
    ratio: float

    @property
    def weight_for_a_tenth(self) -> float:
        """The weight at which its gradient is a tenth of the task loss's; infinite where there is no gradient."""
        return 0.1 / self.ratio if self.ratio else float("inf")


def diagnose(
    task: Loss, losses: Mapping[str, Loss], inputs: LossInputs, parameters: Sequence[Tensor]
) -> list[Diagnosis]:
    """Measure every term of the losses against the task loss.

    Args:
        task: the task loss, such as L1 to HR; several terms count as their sum.
        losses: by name, as in logs.
        inputs: one batch, with the student's graph attached; the graph is kept.
        parameters: the student's, trainable.
    """
    goal = torch.stack(list(task(inputs).values())).sum()
    found = []
    for name, loss in losses.items():
        taps = dict.fromkeys(pair.student for pair in loss.pairs) or inputs.trained.features
        features = [inputs.trained.features[tap] for tap in taps]
        for term, value in loss.named_terms(name, inputs).items():
            place: Sequence[Tensor] = features if gradient_norm(value, features) else parameters
            gradient, reference = gradient_norm(value, place), gradient_norm(goal, place)
            ratio = gradient / reference if reference else float("inf")
            found.append(Diagnosis(term, float(value.detach()), gradient, ratio))
    return found


def diagnosis_table(diagnoses: Iterable[Diagnosis]) -> str:
    """The measurements as aligned text, one line per term."""
    lines = [f"{'loss':<28} {'value':>12} {'gradient':>12} {'task = 1':>12} {'weight for 0.1':>15}"]
    lines += [
        f"{row.name:<28} {row.value:>12.4g} {row.gradient:>12.4g} {row.ratio:>12.4g} {row.weight_for_a_tenth:>15.3g}"
        for row in diagnoses
    ]
    return "\n".join(lines)


def gradient_norm(value: Tensor, place: Sequence[Tensor]) -> float:
    """Norm of a scalar's gradient at tensors, 0 where it has none; the graph is kept."""
    if not place or not value.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(value, list(place), retain_graph=True, allow_unused=True)
    found = [gradient for gradient in gradients if gradient is not None]
    return float(torch.nn.utils.get_total_norm(found)) if found else 0.0
