"""Shipped models: weights inside the package, and the manifest that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import SrKdError
from ..files import file_sha256


@dataclass(frozen=True)
class ShippedModel:
    """One entry of ``manifest.json``.

    Attributes:
        name: what users call it ("fsrcnn_x2").
        file: the weights, beside the manifest.
        scale: its upscaling factor.
        sha256: of the file.
        default: whether it serves its scale where no model is named.
        details: everything else that the manifest says: training, scores, license...
    """

    name: str
    file: Path
    scale: int
    sha256: str
    default: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def verified_file(self) -> Path:
        """The weights' path. Raises SrKdError if they are missing or not what was shipped."""
        try:
            found = file_sha256(self.file)
        except OSError as error:
            raise SrKdError(f"the shipped model {self.name} is missing: {error}; install sr_kd again") from None
        if found != self.sha256:
            raise SrKdError(f"the shipped model {self.name} is damaged ({self.file}); install sr_kd again")
        return self.file


@cache
def shipped_models(folder: Path | None = None) -> Mapping[str, ShippedModel]:
    """The shipped models by name, in the manifest's order; empty where none is shipped. Read once.

    Args:
        folder: where ``manifest.json`` and the weights are; default: this package.
    """
    folder = Path(str(files(__package__))) if folder is None else folder
    path = folder / "manifest.json"
    if not path.exists():
        return MappingProxyType({})
    known = {"name", "file", "scale", "sha256", "default"}
    models = {}
    for entry in json.loads(path.read_text(encoding="utf-8"))["models"]:
        details = {key: value for key, value in entry.items() if key not in known}
        models[entry["name"]] = ShippedModel(
            entry["name"], folder / entry["file"], entry["scale"], entry["sha256"], entry.get("default", False), details
        )
    return MappingProxyType(models)
