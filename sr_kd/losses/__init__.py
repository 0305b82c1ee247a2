"""Losses. A new one is one file: subclass Loss and register it by name."""

from .base import Loss, LossInputs, NetworkOutput, PretrainingObjective, TapPair
from .build import LOSSES, build_loss

__all__ = ["LOSSES", "Loss", "LossInputs", "NetworkOutput", "PretrainingObjective", "TapPair", "build_loss"]
