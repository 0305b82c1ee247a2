"""What the loop drives: the stages of a phase, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..networks.base import Network
from .ema import EMA
from .frozen_teacher import FrozenTeacher
from .optimization import Optimization, Optimizations
from .student_with_losses import StudentWithLosses

if TYPE_CHECKING:
    from .mutual import MutualStudents


class PhaseStage(Protocol):
    """Iterations from 0 to `total_iter`, each one call of `update`."""

    name: str
    total_iter: int

    @property
    def optimization(self) -> Optimization | Optimizations:
        """What a saved state holds of it; the modules' weights belong to the phase."""

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        """One iteration; values worth logging if `measure`, otherwise nothing is read back.

        Raises:
            SrKdError: too many steps in a row had a gradient that was NaN or Inf.
        """


@dataclass(frozen=True)
class PhasePlan:
    """A phase, ready to run.

    Attributes:
        step: all that trains, and what a saved state holds of it; `step.student` is the phase's result.
        stages: factories, each called when its turn comes. lengths: their iterations.
        ema: the average of the student, if any. teacher: frozen, if there is one.
    """

    step: StudentWithLosses | MutualStudents
    stages: Sequence[Callable[[], PhaseStage]]
    lengths: Sequence[int]
    ema: EMA | None = None
    teacher: FrozenTeacher | None = None

    @property
    def total_iter(self) -> int:
        """Iterations of all stages."""
        return sum(self.lengths)

    @property
    def network(self) -> Network:
        """The network that counts: the average of the weights where there is one."""
        return self.ema.network if self.ema is not None else self.step.student
