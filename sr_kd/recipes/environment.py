"""Where a run was made: device, versions, threads, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import yaml

from .. import __version__
from ..config.schema import TrainingRecipe
from ..distributed import World

PACKAGES = ("torch", "numpy", "pydantic", "opencv-python", "pyvips")


def describe_environment(world: World) -> str:
    """One line for a log.

    Only a commit of this package's own checkout is named; ``-dirty`` means with changes that were not committed.
    """
    device = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else str(world.device)
    versions = {"Python": platform.python_version(), **installed_versions(PACKAGES)}
    commit = _commit()
    return ", ".join(
        [
            f"sr_kd {__version__}{f' ({commit})' if commit else ''}",
            *(f"{name} {number}" for name, number in versions.items()),
            f"{world.size} process(es) on {device}",
            f"{torch.get_num_threads()} threads of {os.cpu_count()}",
            f"{platform.system()} {platform.machine()}",
        ]
    )


def written_options(recipe: TrainingRecipe) -> str:
    """The options that the recipe was given, overrides included, as YAML."""
    options = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return yaml.safe_dump(options, sort_keys=False, allow_unicode=True, width=120)


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _commit() -> str:
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return ""
    try:
        found = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
