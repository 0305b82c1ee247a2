"""Bringing student and teacher maps to one size."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def match_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger map down to (H, W) of the smaller, each side for itself; channels stay."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return _pooled(student, size), _pooled(teacher, size)


def resize_to(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map (N, C, h, w) to (H, W): averaged where it is larger, bilinear where it is smaller."""
    pooled = _pooled(feature, (min(feature.shape[2], size[0]), min(feature.shape[3], size[1])))
    if pooled.shape[2:] == size:
        return pooled
    return functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False)


def pool_positions(feature: Tensor, positions: int) -> Tensor:
    """Average a map down until it has at most `positions` positions, keeping its aspect."""
    height, width = feature.shape[2:]
    if height * width <= positions:
        return feature
    rows = max(1, min(height, positions, math.floor(math.sqrt(positions * height / width))))
    return _pooled(feature, (rows, min(width, positions // rows)))


def _pooled(feature: Tensor, size: tuple[int, int]) -> Tensor:
    return feature if feature.shape[2:] == size else functional.adaptive_avg_pool2d(feature, size)
