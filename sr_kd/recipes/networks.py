"""The networks of a phase: its first weights, its teacher, and what finished phases have left."""

from __future__ import annotations

import logging

from torch import nn

from ..config.schema import TrainingRecipe
from ..networks.base import SRNetwork
from ..networks.files import load_network
from ..networks.teacher import part_of
from ..training.seeding import seeded
from .build import build_network_from, load_trained
from .graph import teacher_of
from .workspace import Workspace

logger = logging.getLogger("sr_kd")


def finished_network(workspace: Workspace, phase: str, seed: int) -> nn.Module:
    """The result of a finished phase (its averaged weights where there are any)."""
    return load_network(workspace.models(phase, seed) / "net_g_latest.pth", any_type=True).network


def new_network(recipe: TrainingRecipe, name: str, seed: int) -> nn.Module:
    """A network of the recipe: the same first weights wherever one seed uses it."""
    options = recipe.networks[name]
    with seeded(seed, name):
        network = build_network_from(options, recipe.scale)
    load_trained(network, options)
    if isinstance(network, SRNetwork) and recipe.scale is not None:
        network = network.for_scale(recipe.scale)
    return network


def first_network(recipe: TrainingRecipe, phase: str, seed: int, workspace: Workspace) -> nn.Module:
    """The network that a phase trains, with its first weights."""
    options = recipe.phases[phase]
    student = new_network(recipe, options.trains, seed)
    if options.init is not None:
        source = finished_network(workspace, options.init.source, seed)
        taken, given = options.init.part, options.init.into
        part_of(student, given).load_state_dict(part_of(source, taken).state_dict())
        begun = phase if given is None else f"the {given} of {phase}"
        logger.info("%s starts from the %s of %s", begun, taken or "weights", options.init.source)
    return student


def teacher_network(recipe: TrainingRecipe, name: str, seed: int, workspace: Workspace) -> nn.Module | None:
    """The frozen teacher of a phase: another phase's result, or a network with trained weights."""
    source = teacher_of(recipe, name)
    if source is None:
        return None
    if source.phase is not None:
        return finished_network(workspace, source.phase, seed)
    return new_network(recipe, source.network, seed)
