"""Losses. A new one is one file: subclass FeatureLoss and register it by name."""

from .base import Exchange, FeatureLoss, PretrainingObjective, TapPair, View
from .build import LOSSES, build_loss

__all__ = ["LOSSES", "Exchange", "FeatureLoss", "PretrainingObjective", "TapPair", "View", "build_loss"]
