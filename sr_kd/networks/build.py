"""Networks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..device import physical_memory
from ..errors import UsageError
from ..registry import Registry
from ..signature import OptionError, accepted, check_arguments
from .network import Network

NETWORKS: Registry[type[Network]] = Registry(
    "network",
    {
        "FSRCNN": "sr_kd.networks.fsrcnn:FSRCNN",
        "VDSR": "sr_kd.networks.vdsr:VDSR",
        "IDN": "sr_kd.networks.idn:IDN",
        "CARN": "sr_kd.networks.carn:CARN",
        "Hourglass": "sr_kd.networks.hourglass:Hourglass",
        "PrivilegedTeacher": "sr_kd.networks.teacher:PrivilegedTeacher",
    },
    families={"basicsr": "sr_kd.interop.basicsr_networks:network_class"},
    declared="NETWORKS",
)


def build_network(type: str, *, init: str = "default", **arguments: Any) -> Network:
    """Build a network by name.

    Args:
        type: a registered name, such as "FSRCNN"; ``basicsr.NAME`` for an architecture of BasicSR.
        init: an initialization that the network can hold: "default", "bicubic"...
        arguments: the constructor's, usually ``scale``. A nested mapping with a ``type`` (the
            encoder and decoder of a teacher) is built the same way and inherits scale and color.

    Raises:
        UsageError: an unknown network, argument or initialization; sizes that are impossible, or too large for memory.
    """
    if not isinstance(init, str):  # of a part: no schema has looked at it
        raise UsageError(f"the init of a network is a name, not {init!r}")
    cls = NETWORKS.get(type)
    plain = {name: value for name, value in arguments.items() if not isinstance(value, Mapping)}
    shared: dict[str, Any] = {name: plain[name] for name in ("scale", "color") if name in plain}
    nested, problems = {}, []
    for name, value in arguments.items():
        if isinstance(value, Mapping) and "type" in value:
            try:
                nested[name] = build_network(**{**_fitting(value["type"], shared), **value})
            except OptionError as error:
                problems += [((name, *path), problem) for path, problem in error.problems]
            except UsageError as error:
                problems.append(((name,), str(error)))
    if problems:
        raise OptionError(problems)
    rest = {name: value for name, value in arguments.items() if name not in nested}
    if nested:
        rest = {name: value for name, value in rest.items() if name in accepted(cls) or name not in shared}
    network = _construct(type, cls, check_arguments(f"network {type}", cls, {**rest, **nested}))
    if not isinstance(network, Network):
        raise UsageError(f"{type} is no network that can be used here: derive its class from sr_kd.networks.SRNetwork")
    network.initialize(init)
    return network


def _construct(type: str, cls: type[Network], arguments: Mapping[str, Any]) -> Network:
    try:
        _check_size(cls, arguments)
        return cls(**arguments)
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:  # sizes that torch cannot make or allocate
        numbers = ", ".join(f"{name} = {value}" for name, value in arguments.items() if isinstance(value, int | float))
        starved = isinstance(error, MemoryError) or "allocate memory" in str(error)
        reason = "there is not enough memory for its weights" if starved else str(error).partition("\n")[0]
        raise UsageError(f"network {type} cannot be made with {numbers or 'these options'}: {reason}") from error


def _check_size(cls: type[Network], arguments: Mapping[str, Any]) -> None:
    """Raise MemoryError before allocating what is larger than the machine's memory: it might be granted, and stall.

    Only for networks of this package; others may not be made to be counted without their values.
    """
    memory = physical_memory()
    if memory is None or not cls.__module__.startswith(f"{__package__}."):
        return
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in cls(**arguments).parameters())
    if 4 * count > memory:
        raise MemoryError


def _fitting(type: str, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The shared arguments that this network's constructor takes."""
    known = accepted(NETWORKS.get(type))
    return {name: value for name, value in shared.items() if name in known}
