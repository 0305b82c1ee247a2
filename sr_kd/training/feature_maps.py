"""For TensorBoard: what a phase's losses see of student and teacher, on a few training patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..losses.base import LossInputs
from .frozen_teacher import FrozenTeacher
from .student_with_losses import StudentWithLosses

PATCHES = 2


def first_patches(inputs: LossInputs) -> LossInputs:
    """Of a batch, the first few."""
    labels = None if inputs.labels is None else inputs.labels[:PATCHES]
    return replace(inputs, lr=inputs.lr[:PATCHES], hr=inputs.hr[:PATCHES], labels=labels)


@torch.no_grad()
def feature_maps(step: StudentWithLosses, teacher: FrozenTeacher, inputs: LossInputs) -> Iterator[tuple[str, Tensor]]:
    """Every loss' maps: name and (1, H, W) in [0, 1], maps side by side, patches below each other, in one scale."""
    shown = step.shown(teacher.shown(inputs), output=False)
    for name, loss in step.losses.items():
        for found in loss.maps(shown):  # type: ignore[operator]
            image = torch.cat([each.flatten(0, 1) for each in found.maps.values()], dim=1)
            low, high = image.aminmax()
            captions = ", ".join(found.maps)
            yield f"features/{name}/{found.pair.key}: {captions}", ((image - low) / (high - low).clamp(min=1e-30))[None]
