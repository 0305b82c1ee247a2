"""The networks of a recipe: their first weights, teachers, and what finished phases have left."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

from ..config.phase import NetworkOptions
from ..config.schema import RecipeError, TrainingRecipe
from ..errors import SrKdError, UsageError, nearest
from ..networks.base import Network
from ..networks.build import NETWORKS, build_network
from ..networks.files import load_network, load_weights
from ..networks.teacher import part_of
from ..signature import OptionError, accepted
from ..training.seeding import seeded
from ..zoo.manifest import shipped_models
from .graph import teacher_of
from .workspace import Workspace

logger = logging.getLogger("sr_kd")
FROM_FILE = "file"


class RecipeNetworks:
    """A recipe's networks: with their first weights, the same wherever one seed uses one and built and read once, or as
    finished phases have left them.
    """

    def __init__(self, recipe: TrainingRecipe) -> None:
        self.recipe, self.workspace = recipe, Workspace(recipe)
        self._built: dict[str, tuple[int, Network]] = {}
        self._file_scales: dict[str, tuple[int, ...]] = {}

    def original(self, name: str, seed: int) -> Network:
        """The network itself, which nobody may train.

        Raises:
            RecipeError: options that make no network, another scale than the recipe's, weights that do not fit.
        """
        known = self._built.get(name)
        if known is None or (known[0] != seed and self.recipe.networks[name].path is None):
            known = self._built[name] = seed, self._build(name, seed)
        return known[1]

    def new(self, name: str, seed: int) -> Network:
        """A copy of its own. Raises RecipeError, as `original`."""
        return copy.deepcopy(self.original(name, seed))

    def student(self, phase: str, seed: int) -> Network:
        """The network that a phase trains, with its first weights."""
        options = self.recipe.phases[phase]
        student = self.new(options.trains, seed)
        if options.init is not None:
            source = self.finished(options.init.source, seed)
            taken, given = options.init.part, options.init.into
            part_of(student, given).load_state_dict(part_of(source, taken).state_dict())
            begun = phase if given is None else f"the {given} of {phase}"
            logger.info("%s starts from the %s of %s", begun, taken or "weights", options.init.source)
        return student

    def teacher(self, phase: str, seed: int) -> Network | None:
        """The partner of a phase or its frozen teacher: another phase's result, or a network with trained weights."""
        partner = self.recipe.phases[phase].partner
        if partner is not None:
            return self.new(partner, seed)
        source = teacher_of(self.recipe, phase)
        if source is None:
            return None
        return self.new(source.network, seed) if source.phase is None else self.finished(source.phase, seed)

    def finished(self, phase: str, seed: int) -> Network:
        """The result of a finished phase (its averaged weights where there are any)."""
        return load_network(self.workspace.models(phase, seed) / "net_g_latest.pth", any_type=True).network

    def file_scales(self, name: str) -> tuple[int, ...]:
        """The scales that the file of a built network's weights says it is for; empty where it does not."""
        return self._file_scales.get(name, ())

    def _build(self, name: str, seed: int) -> Network:
        options, scale = self.recipe.networks[name], self.recipe.scale
        try:
            with seeded(seed, name):
                network = build_network_from(options, scale)
        except OptionError as error:
            problems = [(("networks", name, *path), f"is refused: {problem}") for path, problem in error.problems]
            raise RecipeError(self.recipe, problems) from None
        except SrKdError as error:
            raise RecipeError(self.recipe, [(("networks", name), f"cannot be built: {error}")]) from None
        if scale is not None and network.scales and scale not in network.scales:
            served = ", ".join(f"x{each}" for each in network.scales)
            problem = f"is for {served}; the recipe's scale is {scale}"
            raise RecipeError(self.recipe, [(("networks", name), problem)])
        if options.path is not None and options.type != FROM_FILE:
            try:
                self._file_scales[name] = _load_trained(network, options)
            except SrKdError as error:
                raise RecipeError(self.recipe, [(("networks", name, "path"), f"cannot be loaded: {error}")]) from None
        return network if scale is None else network.for_scale(scale)


def build_network_from(options: NetworkOptions, scale: int | None) -> Network:
    """A network as its options describe it, without the weights at their `path`.

    Args:
        options: the recipe's; parts with a `type` of their own (a teacher's) are built with it. The type
            "file" is whatever network the file at `path` holds.
        scale: given to networks that take it, unless their options say otherwise; None where there is none.

    Raises:
        UsageError: an unknown network, argument or initialization. SrKdError: an unreadable file.
    """
    arguments = options.arguments
    if options.type == FROM_FILE:
        return _from_file(options, scale)
    composed = any(isinstance(value, Mapping) and "type" in value for value in arguments.values())
    takes_scale = composed or "scale" in accepted(NETWORKS.get(options.type))
    if scale is not None and "scales" not in arguments and takes_scale:
        arguments.setdefault("scale", scale)
    return build_network(options.type, init=options.init, **arguments)


def _load_trained(network: Network, options: NetworkOptions) -> tuple[int, ...]:
    """Load the weights at `path`; the scales they are for, where all of them had to be there. Raises SrKdError."""
    file = _weights_file(str(options.path))
    loaded = load_weights(network, file, key=options.param_key, strict=options.strict_load)
    if loaded.kept:
        shown = ", ".join(loaded.kept)
        logger.warning("%s lacks these weights or has them in other shapes; they stay new: %s", file, shown)
    return loaded.scales if options.strict_load else ()


def _from_file(options: NetworkOptions, scale: int | None) -> Network:
    arguments = options.arguments
    taps = arguments.pop("taps", [])
    if options.path is None:
        raise UsageError("a network of type 'file' needs the option 'path'")
    if arguments or options.init != "default":
        raise UsageError("a network of type 'file' has no options but 'path' and 'taps'")
    return load_network(_weights_file(options.path), scale=scale, taps=taps, key=options.param_key).network


def _weights_file(path: str) -> Path:
    """A file, or that of a shipped model."""
    models = shipped_models()
    if path in models:
        return models[path].verified_file()
    if not Path(path).exists():
        known = ", ".join(models) or "none"
        raise UsageError(f"no file and no shipped model is called '{path}'{nearest(path, models)}; models: {known}")
    return Path(path)
