"""Losses by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UsageError
from ..registry import Registry
from ..signature import accepted, check_arguments
from .base import Loss, TapPair

LOSSES: Registry[type[Loss]] = Registry(
    "loss",
    {
        "L1": "sr_kd.losses.reconstruction:L1",
        "L2": "sr_kd.losses.reconstruction:L2",
        "Charbonnier": "sr_kd.losses.reconstruction:Charbonnier",
        "Imitation": "sr_kd.losses.imitation:Imitation",
        "VID": "sr_kd.losses.vid:VID",
        "OriginalVID": "sr_kd.losses.vid_original:OriginalVID",
        "AT": "sr_kd.losses.at:AT",
        "NST": "sr_kd.losses.nst:NST",
        "FT": "sr_kd.losses.ft:FT",
        "SRRL": "sr_kd.losses.srrl:SRRL",
        "IEKD": "sr_kd.losses.ie_kd:IEKD",
        "Hint": "sr_kd.losses.hint:Hint",
        "Response": "sr_kd.losses.response:Response",
        "Feature": "sr_kd.losses.feature:Feature",
        "Affinity": "sr_kd.losses.affinity:Affinity",
        "Upcycling": "sr_kd.losses.upcycling:Upcycling",
        "FrequencyReconstruction": "sr_kd.losses.frequency:FrequencyReconstruction",
        "GradientDifference": "sr_kd.losses.gradient:GradientDifference",
        "Perceptual": "sr_kd.losses.perceptual:Perceptual",
        "Adversarial": "sr_kd.losses.adversarial:Adversarial",
    },
    declared="LOSSES",
)


def build_loss(type: str, pairs: Sequence[TapPair] = (), **options: Any) -> Loss:
    """Build a loss by name.

    Args:
        type: a registered name, such as "VID".
        pairs: the taps it compares, for losses that need them.
        options: its own options, checked against its constructor.

    Raises:
        UsageError: an unknown loss or option, a loss that needs taps and got none or does not pass them on.
    """
    cls = LOSSES.get(type)
    if cls.needs_pairs and not pairs:
        raise UsageError(f"loss {type} compares feature maps: name them with 'taps'")
    if next(iter(accepted(cls)), None) != "pairs":
        raise UsageError(
            f"loss {type}: the first argument of its constructor must be 'pairs', the taps that it compares"
        )
    loss = cls(pairs, **check_arguments(f"loss {type}", cls, options, given=("pairs",)))
    if loss.pairs != tuple(pairs):
        raise UsageError(f"loss {type}: its constructor must call super().__init__(pairs)")
    return loss
