"""What a finished recipe has made, and where it is."""

from __future__ import annotations

from collections.abc import Iterable

from ..tasks.base import FinishedArm


def describe_arms(arms: Iterable[FinishedArm]) -> list[str]:
    """A line for each seed of each arm: the scores of its last validation, and its network's file."""
    lines = []
    for arm in arms:
        scores = [f"{name} {metric} {value:.4f}" for name, row in arm.scores.items() for metric, value in row.items()]
        lines.append(f"{arm.label}, seed {arm.seed}: {', '.join([*scores, str(arm.file)])}")
    return lines
