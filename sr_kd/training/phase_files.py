"""What one phase of one seed leaves: training states, networks, validated images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..networks.files import save_network
from .checkpoint import StateFolder, check_finite
from .stage import PhasePlan
from .task import Scores


@dataclass(frozen=True)
class PhaseFiles:
    """Where the files of a phase are.

    Attributes:
        label: what the bar and the log call the phase ("teacher", "student_seed1").
        models: folder of the exported networks, ``net_g_<iteration>.pth``, as in BasicSR.
        images: where validated images are written, if they are.
        metadata: written into every exported network.
        record: the options, saved with every state.
    """

    label: str
    states: StateFolder
    models: Path
    images: Path | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    def export(self, name: str, plan: PhasePlan, clock: int, scores: Scores) -> None:
        """Write ``net_g_<name>.pth``. Raises SrKdError if it cannot be written, or if weights are NaN or Inf."""
        path = self.models / f"net_g_{name}.pth"
        ema = None if plan.ema is None else plan.ema.state_dict()
        check_finite({"params": plan.step.student.state_dict(), "params_ema": ema}, f"{path} is not written")
        save_network(path, plan.step.student, ema=ema, metadata={**self.metadata, "iteration": clock, "scores": scores})
        numbered = sorted(
            (each for each in self.models.glob("net_g_*.pth") if each.stem[6:].isdigit()),
            key=lambda each: int(each.stem[6:]),
        )
        for each in numbered[: -self.states.keep] if self.states.keep else []:  # as many as states
            each.unlink(missing_ok=True)
