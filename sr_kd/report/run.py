"""A run to report: its recipe and where its files are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.schema import TrainingRecipe
from ..data.image_set import ImageSet
from ..errors import UsageError
from ..recipes.check_plan import plan_problems
from ..recipes.cost import undistilled_arm
from ..recipes.graph import arms, baseline_of, phases_before, teacher_of
from ..recipes.invocation import find_recipe
from ..recipes.workspace import Workspace
from ..tasks import TASKS
from ..tasks.super_resolution.data import open_images
from .data import Role


@dataclass(frozen=True)
class Run:
    """A recipe with its files; `command` is the command line that began it, empty where nobody knows."""

    recipe: TrainingRecipe
    workspace: Workspace
    command: str = ""

    @property
    def upscales(self) -> bool:
        """Whether its networks make images of images, which are scored and shown one by one."""
        return TASKS.get(self.recipe.task).upscales

    def image_sets(self) -> list[tuple[ImageSet, str]]:
        """(validation set, protocol), of a run that upscales. Raises UsageError and SrKdError, as `open_images`."""
        recipe: Any = self.recipe
        return [(open_images(options, recipe.scale), options.protocol) for options in recipe.validation_sets]

    @property
    def finished(self) -> bool:
        """Whether every phase of every seed is."""
        return not self.workspace.unfinished_seeds()

    @property
    def baseline(self) -> str | None:
        """What the others are compared with: as the recipe says, or else an arm that nobody teaches."""
        named = baseline_of(self.recipe)
        found = (undistilled_arm(self.recipe, network) for network in self.recipe.networks)
        return named or next((label for label in found if label is not None), None)

    def role(self, label: str) -> Role:
        """What an arm is in the comparison: the baseline, taught by another network, or neither."""
        if label == self.baseline:
            return "baseline"
        phases = [arms(self.recipe)[label], *phases_before(self.recipe, arms(self.recipe)[label])]
        trains = self.recipe.phases[phases[0]].trains
        taught = any(self.teacher(phase) for phase in phases if self.recipe.phases[phase].trains == trains)
        return "distilled" if taught else "alone"

    def teacher(self, phase: str) -> str:
        """What teaches a phase: another phase, a network with trained weights, or a partner; empty if nothing does."""
        teacher = teacher_of(self.recipe, phase)
        if teacher is not None:
            return teacher.phase or teacher.network
        return self.recipe.phases[phase].partner or ""

    def seconds(self, phase: str, seed: int) -> float | None:
        """What a finished phase and those before it took: iterations times the median step; None if not measured."""
        total = 0.0
        for each in (*phases_before(self.recipe, phase), phase):
            result = self.workspace.result(each, seed) or {}
            if not result.get("seconds_per_step"):
                return None
            total += result["iterations"] * result["seconds_per_step"]
        return total


def run_titles(runs: Sequence[Run]) -> list[str]:
    """What to call them beside each other: the recipes' names, or where these repeat the folders below a common one."""
    names = [run.recipe.name for run in runs]
    if len(set(names)) == len(names):
        return names
    folders = [str(run.workspace.root.absolute()) for run in runs]
    return [os.path.relpath(folder, os.path.commonpath(folders)) for folder in folders]


def find_run(run: str | Path, overrides: Sequence[str] = ()) -> Run:
    """The run of an option file, or of an experiment's folder.

    Raises:
        UsageError: neither an option file nor a run's folder, a recipe whose phases, arms and seeds do not fit, or one
            that has never been run.
        SrKdError: a damaged record.
    """
    recipe, invocation = find_recipe(run, tuple(overrides))
    if problems := list(plan_problems(recipe, TASKS.get(recipe.task))):
        raise UsageError(recipe.origin.report(problems))
    workspace = Workspace(recipe)
    if not workspace.root.is_dir():
        raise UsageError(f"there is no run of this recipe: no folder {workspace.root}; run sr-kd train first")
    return Run(recipe, workspace, invocation.command)
