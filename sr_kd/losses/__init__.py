"""Losses. A new one is one file: subclass Loss and register it by name.

Every registered loss can be imported from here (``from sr_kd.losses import AT, VID``), those of the tasks too, and used
in any training loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Loss, LossInputs, NetworkOutput, PretrainingObjective, TapPair
from .build import LOSSES, build_loss
from .taps import TapLoss

if TYPE_CHECKING:
    from .adversarial import Adversarial
    from .affinity import Affinity
    from .at import AT
    from .feature import Feature
    from .frequency import FrequencyReconstruction
    from .ft import FT
    from .gradient import GradientDifference
    from .hint import Hint
    from .ie_kd import IEKD
    from .imitation import Imitation
    from .nst import NST
    from .perceptual import Perceptual
    from .reconstruction import L1, L2, Charbonnier
    from .response import Response
    from .srrl import SRRL
    from .upcycling import Upcycling
    from .vid import VID
    from .vid_original import OriginalVID

__all__ = [
    "AT",
    "FT",
    "IEKD",
    "L1",
    "L2",
    "LOSSES",
    "NST",
    "SRRL",
    "VID",
    "Adversarial",
    "Affinity",
    "Charbonnier",
    "Feature",
    "FrequencyReconstruction",
    "GradientDifference",
    "Hint",
    "Imitation",
    "Loss",
    "LossInputs",
    "NetworkOutput",
    "OriginalVID",
    "Perceptual",
    "PretrainingObjective",
    "Response",
    "TapLoss",
    "TapPair",
    "Upcycling",
    "build_loss",
]


def __getattr__(name: str) -> Any:
    """A registered loss, its module loaded on first use."""
    if name in LOSSES.names():
        return LOSSES.get(name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *LOSSES.names()})
