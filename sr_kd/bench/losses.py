"""What each arm of a recipe costs per training step: the losses, side by side."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from ..distributed import World
from ..recipes.cost import undistilled_arm
from ..recipes.graph import arms, teacher_of
from ..recipes.networks import RecipeNetworks
from ..tasks.super_resolution.options import SuperResolutionRecipe
from ..tasks.super_resolution.task import SuperResolution
from ..training.phase_losses import build_phase_losses
from ..training.plan import plan_phase
from .report import SpeedComparison
from .timing import time_in_turn
from .train import OneBatch, OurStep


@dataclass(frozen=True)
class LossesBench:
    """Whole steps on one random batch: teacher, student, loss with its adapters, optimizer.

    Networks have their first weights, and what would be pre-trained is not; both take equally long.

    Attributes:
        recipe: its arms are the candidates; first the undistilled one of the first arm's network.
        batch, patch: patches per step, side of an LR patch.
    """

    recipe: SuperResolutionRecipe
    batch: int
    patch: int
    device: torch.device

    def compare(self, repetitions: int, quiet: bool) -> SpeedComparison:
        """Every arm; the step of one with a partner trains both networks."""
        compared = arms(self.recipe)
        main = self.recipe.phases[next(iter(compared.values()))].trains
        first = undistilled_arm(self.recipe, main)
        labels = sorted(compared, key=lambda label: label != first)
        steps = {label: self.step(label) for label in labels}
        seconds = time_in_turn(steps, repetitions, device=self.device, quiet=quiet)
        size = f"x{self.recipe.scale}, batch {self.batch}, LR patch {self.patch}"
        notes = {label: self._losses(label) for label in labels}
        return SpeedComparison(f"Step of every arm of {self.recipe.name}, {size}", seconds, notes=notes, unit="step")

    def step(self, label: str) -> OurStep:
        """One arm's step, as the trainer runs it."""
        recipe, phase = self.recipe, arms(self.recipe)[label]
        options, source = recipe.phases[phase], teacher_of(recipe, phase)
        other = options.partner if source is None else source.network
        networks = RecipeNetworks(recipe)
        student = networks.new(options.trains, seed=0)
        teacher = None if other is None else networks.new(other, seed=0)
        world = World(0, 1, self.device)
        images = self._images(rgb="rgb" in {network.color for network in (student, teacher) if network is not None})
        task = SuperResolution(images, [], recipe.scale, [], world)
        losses = build_phase_losses(recipe, phase, 0, student, teacher)
        plan = plan_phase(recipe, phase, student, teacher, losses, task, world)
        return OurStep(plan.stages[-1](), itertools.count())

    def _images(self, rgb: bool) -> OneBatch:
        generator = torch.Generator().manual_seed(0)
        side = self.patch * self.recipe.scale
        hr = torch.rand(self.batch, 3 if rgb else 1, side, side, generator=generator)
        lr = torch.nn.functional.avg_pool2d(hr, self.recipe.scale)
        return OneBatch(lr.to(self.device), hr.to(self.device))

    def _losses(self, label: str) -> str:
        """As they are written in the option file, without weights and taps."""
        losses = self.recipe.phases[arms(self.recipe)[label]].losses
        return ", ".join(" ".join([each.type, *(f"{k}={v}" for k, v in each.options.items())]) for each in losses)
