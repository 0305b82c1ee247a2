"""A distilled phase at work on one image: what its teacher and its student, before and after, make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.image_set import ImageSet
from ..distributed import World
from ..errors import SrKdError, UsageError, unknown_name
from ..evaluation.benchmark import read_levels
from ..evaluation.protocols import find_protocol, to_pixels
from ..losses.base import Loss, LossInputs, NetworkOutput, TapPair
from ..networks.base import Network
from ..recipes.networks import RecipeNetworks
from ..tasks.super_resolution.task import SuperResolution
from ..training.frozen_teacher import FrozenTeacher
from ..training.phase_losses import build_phase_losses
from ..training.student_with_losses import StudentWithLosses
from .run import Run

SIDE = 384  # of the part of an image that is looked at, in HR pixels, at most


@dataclass(frozen=True)
class ImagePart:
    """The middle of a validation image: (1, 3, H, W) in [0, 1], and HR as (H, W, 3) uint8."""

    name: str
    lr: Tensor
    hr: Tensor
    pixels: np.ndarray

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """The image as the only batch of a `PatchSource`."""
        return self.lr, self.hr

    def close(self) -> None:
        """Nothing to end here."""


@dataclass(frozen=True)
class DistilledPhase:
    """A phase on one image, nothing with a gradient.

    Attributes:
        phase, seed, iteration: of the state that was read.
        losses: the phase's, with their trained adapters.
        inputs: what teacher and trained student make of the image.
        before: what the student made of it with its first weights.
    """

    phase: str
    seed: int
    iteration: int
    losses: Mapping[str, Loss]
    inputs: LossInputs
    before: NetworkOutput
    part: ImagePart

    @property
    def pairs(self) -> list[TapPair]:
        """Every pair of taps that a loss compares, once."""
        return list({pair.key: pair for loss in self.losses.values() for pair in loss.pairs}.values())


def distilled_phases(run: Run) -> list[str]:
    """The phases of a super-resolution in which feature maps are compared with a frozen teacher's."""
    if not run.upscales:
        return []
    return [
        name
        for name, phase in run.recipe.phases.items()
        if phase.partner is None and run.teacher(name) and any(loss.taps for loss in phase.losses)
    ]


def open_distillation(
    run: Run, phase: str, image: ImagePart, device: torch.device, seed: int | None = None
) -> DistilledPhase:
    """Read the newest state of a phase and show it an image.

    Args:
        phase: of `distilled_phases`. seed: by default the recipe's first.

    Raises:
        UsageError: another phase or seed, or one without a state.
        SrKdError: a damaged file, or a state of other options.
    """
    recipe, workspace = run.recipe, run.workspace
    if phase not in (known := distilled_phases(run)):
        raise unknown_name("phase that compares feature maps with a teacher's", phase, known)
    seed = recipe.seeds[0] if seed is None else seed
    if seed not in recipe.seeds:
        raise UsageError(f"{recipe.name} has no seed {seed}; its seeds are {', '.join(map(str, recipe.seeds))}")
    saved = workspace.states(phase, seed).load_latest()
    if saved is None:
        raise UsageError(f"{workspace.run_name(phase, seed)} has no training state yet: train it first")
    networks = RecipeNetworks(recipe)
    student, teacher = networks.student(phase, seed), networks.teacher(phase, seed)
    losses = build_phase_losses(recipe, phase, seed, student, teacher).student
    task = SuperResolution(image, (), recipe.scale or 1, (), World(0, 1, device))
    step = StudentWithLosses(student, losses, task).to(device).eval()
    iteration, state = saved
    with torch.no_grad():
        inputs = FrozenTeacher(_placed(teacher, device), step, task).shown(task.batch(0))
        before = step.shown(inputs).trained
        try:
            step.load_state_dict(state["step"])
        except (KeyError, RuntimeError, TypeError):
            folder = workspace.states(phase, seed).folder
            raise SrKdError(f"{folder / f'{iteration}.state'} is of other options than the run's") from None
        inputs = step.shown(inputs)
    return DistilledPhase(phase, seed, iteration, {each.name: each.loss for each in losses}, inputs, before, image)


def open_image(run: Run, name: str | None, device: torch.device) -> ImagePart:
    """The middle of a validation image; by default of the first one.

    Raises:
        UsageError: no super-resolution, no validation set, or no image of that name.
        SrKdError: an image that cannot be read.
    """
    recipe = run.recipe
    if not run.upscales:
        raise UsageError(f"{recipe.name} is a {recipe.task}: feature maps are shown of super-resolutions")
    names: list[str] = []
    for images, protocol in run.image_sets():
        names += images.names
        if name is None or name in images.names:
            return _read(images, images.names.index(name or images.names[0]), protocol, device)
    if not names:
        raise UsageError(f"{recipe.name} has no validation set to take an image from")
    raise unknown_name("validation image", str(name), names)


def _read(images: ImageSet, index: int, protocol: str, device: torch.device) -> ImagePart:
    scale = images.scale
    hr, lr = read_levels(images, index)
    sides = [min(SIDE // scale, side // scale) for side in hr.shape[1:]]
    corner = [(side // scale - part) // 2 for side, part in zip(hr.shape[1:], sides, strict=True)]
    hr, lr = find_protocol(protocol).prepare(hr, lr, scale)

    def cut(levels: Tensor, by: int) -> Tensor:
        rows, columns = (slice(start * by, (start + side) * by) for start, side in zip(corner, sides, strict=True))
        return levels[:, rows, columns].expand(3, -1, -1)

    small, large = cut(lr, 1), cut(hr, scale)
    lr_batch, hr_batch = ((each / 255).float()[None].to(device) for each in (small, large))
    return ImagePart(images.names[index], lr_batch, hr_batch, to_pixels(large))


def _placed(network: Network | None, device: torch.device) -> Network:
    if network is None:
        raise SrKdError("the phase has no teacher")
    return network.to(device)
