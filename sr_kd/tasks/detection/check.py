"""What a detection asks of its phases."""

from __future__ import annotations

from collections.abc import Iterator

from ...config.origin import Problem
from ..base import Networks
from .options import DetectionRecipe


def detection_problems(recipe: DetectionRecipe, networks: Networks) -> Iterator[Problem]:
    """Phases that would be compiled."""
    for name, phase in recipe.phases.items():
        if phase.compile:
            value = str(phase.compile).lower()
            problem = f"is {value}: a detector, whose images differ in objects, cannot be compiled"
            yield ("phases", name, "compile"), problem
