"""One phase of one seed at work: what its loop and its validation share."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.schema import TrainingRecipe
from ..distributed import World
from .phase_files import PhaseFiles
from .run_log import RunLog
from .stage import PhasePlan
from .task import Task


@dataclass(frozen=True)
class RunningPhase:
    """A phase with its data, its files and its log.

    Attributes:
        recipe: says how often to log, save and validate.
        seed: together with label and iteration it decides what a network with dropout drops.
    """

    recipe: TrainingRecipe
    seed: int
    plan: PhasePlan
    task: Task
    files: PhaseFiles
    log: RunLog
    world: World
