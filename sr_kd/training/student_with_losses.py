"""The student and its losses: the one module that training wraps, so every adapter's gradient is synchronized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from ..errors import SrKdError
from ..losses.base import LossInputs
from ..networks.base import Network
from .gradient_ratio import GradientRatios
from .phase_losses import WeightedLoss
from .task import Task


class StudentWithLosses(nn.Module):
    """One forward pass of the trained network and all losses on it.

    Args:
        student: the network that this phase trains (in a teacher phase, the teacher).
        losses: built losses with their weights and distinct names.
        task: how a network sees a batch.
    """

    def __init__(self, student: Network, losses: Sequence[WeightedLoss], task: Task) -> None:
        super().__init__()
        self.student = student
        self.losses = nn.ModuleDict({entry.name: entry.loss for entry in losses})
        self.weights = {entry.name: entry.weight if entry.gradient_ratio is None else None for entry in losses}
        gradient_ratios = {
            f"{entry.name}/{term}": entry.gradient_ratio / len(entry.loss.terms)
            for entry in losses
            if entry.gradient_ratio is not None
            for term in entry.loss.terms
        }
        self.gradient_ratios = GradientRatios(gradient_ratios) if gradient_ratios else None
        self.task = task
        self.student_taps = [pair.student for entry in losses for pair in entry.loss.pairs]
        self.teacher_taps = [pair.teacher for entry in losses for pair in entry.loss.pairs]
        # Then the layers behind the deepest tap get no gradient.
        self.compares_features_only = all(entry.loss.needs_pairs or entry.loss.needs_compact for entry in losses)
        self.needs_teacher_output = any(entry.loss.needs_teacher_output for entry in losses)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        """Unweighted loss terms, named ``<loss>/<term>``."""
        shown = self.shown(inputs)
        terms: dict[str, Tensor] = {}
        for name, loss in self.losses.items():
            terms.update(loss.named_terms(name, shown))  # type: ignore[operator]
        return terms

    def shown(self, inputs: LossInputs, output: bool = True) -> LossInputs:
        """The batch as the trained network sees it, with what it makes of it: its features, and its `output`."""
        seen = LossInputs(
            self.task.seen_by(self.student, inputs.lr),
            self.task.seen_by(self.student, inputs.hr),
            labels=inputs.labels,
        )
        return replace(
            inputs,
            lr=seen.lr,
            hr=seen.hr,
            trained=self.task.view(self.student, seen, self.student_taps, output),
            trained_forward=partial(output_for, self.student, self.task),
        )

    def weighted(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The terms times their weights."""
        return {key: self.weight(key) * value for key, value in terms.items()}

    def weight(self, key: str) -> float | Tensor:
        """Of the term `key`, named ``<loss>/<term>``."""
        if self.gradient_ratios is not None and key in self.gradient_ratios:
            return self.gradient_ratios.weight(key)
        name, term = key.split("/", 1)
        weight = self.weights[name]
        if weight is None:
            raise SrKdError(
                f"loss {name} returns the term '{term}', which its 'terms' do not name: it has no gradient_ratio"
            )
        return weight[term] if isinstance(weight, Mapping) else weight

    def diagnostics(self) -> dict[str, Tensor]:
        """What the losses have to say of the last forward pass, named ``<loss>/<what>``."""
        return {
            f"{name}/{what}": value
            for name, loss in self.losses.items()
            for what, value in loss.diagnostics().items()  # type: ignore[operator]
        }


def output_for(network: Network, task: Task, lr: Tensor, hr: Tensor) -> Tensor:
    """A network's output for a pair other than the batch."""
    output = task.view(network, LossInputs(lr, hr), (), output=True).output
    if output is None:
        raise ValueError("the task's view left the output out")
    return output
