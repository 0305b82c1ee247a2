"""What a file is: a network of ours or of another project, or a training state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UsageError
from ..networks.base import SRNetwork
from ..networks.complexity import Effort, count_parameters, measure_effort
from ..networks.files import LoadedNetwork, load_network
from ..networks.state_files import read_state as read_weights
from ..training.checkpoint import read_state
from ..zoo.manifest import shipped_models

SIZE = (1280, 720)  # of the result that efforts are for: width and height, as in the efficient-SR challenges


@dataclass(frozen=True)
class FileFacts:
    """Of any file.

    Attributes:
        kind: "network", "privileged teacher", "classifier or detector", or "training state".
        size: in bytes. sha256: of the file.
        network: its type. arguments: of its constructor.
        scales, color: what it serves and sees.
        made_by: the versions of sr_kd and torch that wrote it, or the project whose format it has.
        metadata: what a run or the manifest of the shipped models says: recipe, phase, seed, iteration, scores...
        efforts: scale -> what a result of 1280x720 pixels takes.
    """

    file: str
    kind: str
    size: int
    sha256: str
    network: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    scales: tuple[int, ...] = ()
    color: str = ""
    parameters: int = 0
    made_by: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    efforts: Mapping[int, Effort] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"efforts": {str(scale): asdict(effort) for scale, effort in self.efforts.items()}}


def file_facts(name: str | Path, scale: int | None = None) -> FileFacts:
    """Look at a file, or at a shipped model by its name.

    Args:
        scale: for files that do not tell theirs.

    Raises:
        UsageError: no such file, or a scale that is needed.
        SrKdError: a damaged file, or one of no network that is known here.
    """
    shipped = shipped_models().get(str(name))
    path = Path(name) if shipped is None else shipped.verified_file()
    if not path.is_file():
        raise UsageError(f"there is no file {path}, and no shipped model of that name; see sr-kd models")
    content = path.read_bytes()
    identity = {"file": str(path), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if path.suffix == ".state":
        return _of_state(path, identity)
    loaded = load_network(path, scale=scale)
    more = {} if shipped is None else dict(shipped.details)
    return _of_network(path, loaded, identity, more)


def _of_network(path: Path, loaded: LoadedNetwork, identity: Mapping[str, Any], more: Mapping[str, Any]) -> FileFacts:
    network, metadata = loaded.network, loaded.metadata
    description = read_weights(path).description or {}
    versions = ", ".join(f"{name} {description[name]}" for name in ("sr_kd", "torch") if name in description)
    efforts: dict[int, Effort] = {}
    kind = "privileged teacher" if network.sees_hr else "classifier or detector"
    if isinstance(network, SRNetwork):
        kind, efforts = "network", {each: effort_of(network, each) for each in network.scales}
    return FileFacts(
        **identity,
        kind=kind,
        network=network.type_name,
        arguments=network.arguments,
        scales=network.scales,
        color=network.color or "",
        parameters=count_parameters(network),
        made_by=versions or str(metadata.get("format", "")),
        metadata={
            key: value for key, value in {**metadata, **more}.items() if key not in ("network", "parameters", "sr_kd")
        },
        efforts=efforts,
    )


def effort_of(network: SRNetwork, scale: int) -> Effort:
    """Of a result of 1280x720 pixels (sides rounded down to the scale)."""
    width, height = (side // scale for side in SIZE)
    return measure_effort(network.for_scale(scale), (1, 1 if network.color == "y" else 3, height, width))


def _of_state(path: Path, identity: Mapping[str, Any]) -> FileFacts:
    state = read_state(path)
    step = state.get("step")
    named = step.items() if isinstance(step, dict) else ()
    weights = [value for key, value in named if str(key).startswith("student.") and isinstance(value, Tensor)]
    metadata = {key: state[key] for key in ("iteration", "stage", "best", "skipped") if key in state}
    phase = {"run": str(path.parent.parent.parent.name), "phase": path.parent.name}
    return FileFacts(
        **identity, kind="training state", parameters=sum(value.numel() for value in weights), metadata=phase | metadata
    )
