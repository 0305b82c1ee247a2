"""Network files: self-describing weights, and the foreign formats that are understood."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .. import __version__
from ..errors import SrKdError, UsageError
from ..files import atomic_path
from .base import Network
from .bounded import bounded_by, check_numbers
from .build import NETWORKS, build_network
from .fitting import load_strictly
from .recognize import recognize
from .spandrel import SpandrelNetwork, load_with_spandrel
from .state_files import DESCRIPTION_KEY, SCALES_KEY, TORCH_SUFFIXES, read_state, without_prefixes

# Of BasicSR's architectures those that are made of numbers alone, by runs of ours that trained them.
FOREIGN_TYPES = frozenset(
    f"basicsr.{name}" for name in ("EDSR", "ECBSR", "MSRResNet", "RCAN", "RRDBNet", "SRVGGNetCompact", "SwinIR")
)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network read from a file, in eval mode on the CPU.

    Attributes:
        network: with the moving averages where the file has them.
        metadata: what the caller of `save_network` added; for a foreign file its ``format``.
    """

    network: Network
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedWeights:
    """What is to be known of weights that were read into a network.

    Attributes:
        scales: that the file says it is for; empty where it does not say.
        kept: keys whose weights stay as they were in the network; none where every one had to be in the file.
    """

    scales: tuple[int, ...]
    kept: tuple[str, ...]


def save_network(
    path: Path | str,
    network: Network,
    *,
    ema: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a network's weights and how to rebuild it, atomically.

    A ``.pth`` file holds ``params``, ``params_ema`` if `ema` is given, and the description as JSON
    text under ``sr_kd``. A ``.safetensors`` file holds one set of weights (`ema`'s if given) and the
    same JSON in its metadata, and beside the weights the scales as a tensor: programs that are handed
    tensors only (spandrel) could not tell them otherwise.

    Args:
        network: with `type_name` and `arguments`, as all networks of this package have.
        ema: moving averages of the weights, with the keys of its state dict.
        metadata: anything that JSON can hold: recipe, scores...

    Raises:
        UsageError: another suffix. SrKdError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise UsageError(f"cannot save a network as {path}: the suffix must be .safetensors or .pth")
    description = _describe(network, metadata or {})
    text = json.dumps(description)
    weights = _plain(network.state_dict())
    if suffix == ".safetensors":
        tensors = weights if ema is None else _plain(ema)
        if "scales" in description:
            tensors[SCALES_KEY] = torch.tensor(description["scales"])
        data = save(tensors, {DESCRIPTION_KEY: text})
    else:
        content: dict[str, Any] = {"params": weights, DESCRIPTION_KEY: text}
        if ema is not None:
            content["params_ema"] = _plain(ema)
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = buffer.getvalue()
    with atomic_path(path) as temporary:  # written by Python: the libraries hide that a disk is full
        temporary.write_bytes(data)


def load_network(
    path: Path | str,
    *,
    scale: int | None = None,
    taps: Sequence[str] = (),
    key: str | None = None,
    any_type: bool = False,
) -> LoadedNetwork:
    """Read a network: this package's files, BasicSR-style files of its networks, and the PISR release.

    Other architectures are recognized by spandrel where it is installed.

    Args:
        scale: which scale a multi-scale network shall serve; the scale itself where neither the
            file nor its shapes tell it (FSRCNN and IDN have the same shapes at every scale).
        taps: dotted names of submodules, where the file holds another project's network.
        key: "params" or "params_ema", of a file that has both; default: the latter.
        any_type: the file may name any class of another project: for files that this program has just written.

    Raises:
        SrKdError: an unreadable file, a network that may not be built, or weights of no network known here.
        UsageError: the network does not serve `scale`, or `scale` is needed.
    """
    path = Path(path)
    file = read_state(path, key)
    described = file.description is not None and file.description["type"] != SpandrelNetwork.type_name
    bare = file.tensors if described else without_prefixes(file.tensors)
    found = None if described else recognize(bare)
    if file.description is not None and described:
        kind, arguments, tensors = file.description["type"], _renamed(file.description["arguments"]), file.tensors
        metadata = dict(file.description.get("metadata", {}))
    elif found is not None:
        kind, arguments, tensors = found.type_name, found.arguments_for(path, scale), found.tensors
        metadata = {"format": found.format}
    else:
        foreign = load_with_spandrel(bare, path, taps)
        return LoadedNetwork(foreign if scale is None else _serve(foreign, scale, path), {"format": "spandrel"})
    if taps:
        arguments = {**arguments, "taps": list(taps)}
    with torch.random.fork_rng(devices=[]):  # the initialization is thrown away: draw it from nobody's stream
        try:
            if described:
                if not any_type:
                    _refuse_foreign_types({"type": kind, **arguments})
                check_numbers(arguments, tensors)
            with bounded_by(tensors):
                network = build_network(kind, **arguments)
        except UsageError as error:
            unknown = "." not in kind and kind not in NETWORKS.names()
            hint = "; is it a plug-in's? name that with --plugin FILE, or 'plugins'" if unknown else ""
            raise SrKdError(f"{path}: {error}{hint}") from None
    load_strictly(network, tensors, path)
    if scale is not None:
        network = _serve(network, scale, path)
    return LoadedNetwork(network.eval(), metadata)


def load_weights(network: Network, path: Path | str, *, key: str | None = None, strict: bool = True) -> LoadedWeights:
    """Load a file's weights into a network that exists; every key must match.

    Only a multi-scale file's heads for scales that the network does not serve are passed over.

    Args:
        key: as in `load_network`.
        strict: if not, what the file lacks or has in another shape stays as it is in the network.

    Raises:
        SrKdError: an unreadable file, or keys or shapes that do not fit (counted and named); if not strict, a file of
            which nothing fits.
    """
    path = Path(path)
    file = read_state(path, key)
    tensors = file.tensors
    if file.description is None and tensors.keys() != network.state_dict().keys():
        bare = without_prefixes(tensors)
        found = recognize(bare)
        tensors = bare if found is None else found.tensors
    tensors = network.own_tensors(tensors)
    expected, kept = network.state_dict(), []
    if not strict:
        kept = [name for name, value in expected.items() if name not in tensors or tensors[name].shape != value.shape]
        if len(kept) < len(expected):  # else the sentence about what does not fit
            tensors = {name: expected[name] if name in kept else tensors[name] for name in expected}
    load_strictly(network, tensors, path)
    return LoadedWeights(tuple((file.description or {}).get("scales", ())), tuple(kept))


def _refuse_foreign_types(description: Mapping[str, Any]) -> None:
    """A file of unknown origin names networks of this package and of loaded plug-ins, and few others.

    Another project's class may open files and connections while it is built.

    Raises:
        UsageError: such a type; the message says how the file can be used nevertheless.
    """
    kind = description["type"]
    if "." in str(kind) and kind not in FOREIGN_TYPES:
        raise UsageError(
            f"the file asks for the network '{kind}' of another project, and a file alone may not; name both in an "
            f"option file: 'type: {kind}' with its options, and 'path:' with this file"
        )
    for value in description.values():
        if isinstance(value, Mapping) and "type" in value:
            _refuse_foreign_types(value)


def _describe(network: Network, metadata: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(network, Network):
        raise UsageError(f"cannot describe a {type(network).__name__} in a file: it has no type_name and arguments")
    of_images = {"scales": network.scales, "color": network.color} if network.scales else {}
    return {
        "type": network.type_name,
        "arguments": network.arguments,
        **of_images,
        "sr_kd": __version__,
        "torch": str(torch.__version__),
        "metadata": dict(metadata),
    }


def _renamed(arguments: Any) -> Any:
    """Arguments with today's names: files of version 0.1 say "colour"."""
    if not isinstance(arguments, dict):
        return arguments
    return {"color" if name == "colour" else name: _renamed(value) for name, value in arguments.items()}


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Own, contiguous copies on the CPU: a view would write its whole storage."""
    return {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}


def _serve(network: Network, scale: int, path: Path) -> Network:
    try:
        return network.for_scale(scale)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
