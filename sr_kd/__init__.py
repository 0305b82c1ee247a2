"""Distil super-resolution networks: train, measure, ship and use small students."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PUBLIC = {
    "SrKdError": "sr_kd.errors",
    "TrainingResult": "sr_kd.recipes.api",
    "Upscaler": "sr_kd.imaging.upscaler",
    "UsageError": "sr_kd.errors",
    "build_loss": "sr_kd.losses.build",
    "build_network": "sr_kd.networks.build",
    "distil": "sr_kd.distillation.run",
    "evaluate": "sr_kd.evaluation.api",
    "export_network": "sr_kd.export.export",
    "load_model": "sr_kd.imaging.load",
    "load_network": "sr_kd.networks.files",
    "save_network": "sr_kd.networks.files",
    "train": "sr_kd.recipes.api",  # not the module sr_kd.train, which is there for python -m
    "upscale": "sr_kd.imaging.load",
}
__all__ = [
    "SrKdError",
    "TrainingResult",
    "Upscaler",
    "UsageError",
    "__version__",
    "build_loss",
    "build_network",
    "distil",
    "evaluate",
    "export_network",
    "load_model",
    "load_network",
    "save_network",
    "train",
    "upscale",
]

if TYPE_CHECKING:
    from .distillation.run import distil
    from .errors import SrKdError, UsageError
    from .evaluation.api import evaluate
    from .export.export import export_network
    from .imaging.load import load_model, upscale
    from .imaging.upscaler import Upscaler
    from .losses.build import build_loss
    from .networks.build import build_network
    from .networks.files import load_network, save_network
    from .recipes.api import TrainingResult, train


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that ``import sr_kd`` costs nothing."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'sr_kd' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
