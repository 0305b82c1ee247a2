"""Bringing student and teacher maps to one size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def match_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger map down to (H, W) of the smaller, each side for itself; channels stay."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return _pooled(student, size), _pooled(teacher, size)


def _pooled(feature: Tensor, size: tuple[int, int]) -> Tensor:
    return feature if feature.shape[2:] == size else functional.adaptive_avg_pool2d(feature, size)


def widen(feature: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return feature.float() if feature.dtype.itemsize < 4 else feature
