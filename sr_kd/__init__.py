"""Distil super-resolution networks: train, measure, ship and use small students."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "SrKdError": "sr_kd.errors",
    "UsageError": "sr_kd.errors",
    "build_network": "sr_kd.networks.build",
    "evaluate": "sr_kd.evaluation.api",
    "load_model": "sr_kd.imaging.load",
    "upscale": "sr_kd.imaging.load",
}
__all__ = ["SrKdError", "UsageError", "__version__", "build_network", "evaluate", "load_model", "upscale"]

if TYPE_CHECKING:
    from .errors import SrKdError, UsageError
    from .evaluation.api import evaluate
    from .imaging.load import load_model, upscale
    from .networks.build import build_network


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that ``import sr_kd`` costs nothing."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'sr_kd' has no attribute '{name}'")
