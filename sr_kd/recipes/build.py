"""Networks from their options."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from ..config.phase import NetworkOptions
from ..errors import UsageError, nearest
from ..networks.build import NETWORKS, build_network
from ..networks.files import load_network, load_weights
from ..signature import accepted
from ..zoo.manifest import shipped_models

FROM_FILE = "file"
logger = logging.getLogger("sr_kd")


def build_network_from(options: NetworkOptions, scale: int | None) -> nn.Module:
    """A network with its initial weights; trained ones are loaded by `load_trained`.

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


def load_trained(network: nn.Module, options: NetworkOptions) -> None:
    """Load the weights at `path`, if the options name any. Raises SrKdError if they do not fit."""
    if options.path is not None and options.type != FROM_FILE:
        file = _weights_file(options.path)
        new = load_weights(network, file, key=options.param_key, strict=options.strict_load)
        if new:
            logger.warning(
                "%s lacks these weights, or has them in other shapes; they stay new: %s", file, ", ".join(new)
            )


def _from_file(options: NetworkOptions, scale: int | None) -> nn.Module:
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
