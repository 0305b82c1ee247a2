"""Bringing student and teacher maps to one size."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def match_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger map down to (H, W) of the smaller, each side for itself; channels stay.

    >>> student, teacher = match_size(torch.zeros(1, 8, 12, 10), torch.zeros(1, 32, 6, 20))
    >>> student.shape[2:], teacher.shape[2:]
    (torch.Size([6, 10]), torch.Size([6, 10]))
    """
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return _pooled(student, size), _pooled(teacher, size)


def resize_to(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map (N, C, h, w) to (H, W): averaged where it is larger, bilinear where it is smaller."""
    pooled = _pooled(feature, (min(feature.shape[2], size[0]), min(feature.shape[3], size[1])))
    if pooled.shape[2:] == size:
        return pooled
    return functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False)


def pool_positions(feature: Tensor, positions: int) -> Tensor:
    """Average a map down until it has at most `positions` positions, keeping its aspect.

    >>> pool_positions(torch.zeros(1, 8, 40, 60), 600).shape
    torch.Size([1, 8, 20, 30])
    """
    height, width = feature.shape[2:]
    if height * width <= positions:
        return feature
    rows = max(1, min(height, positions, math.floor(math.sqrt(positions * height / width))))
    return _pooled(feature, (rows, min(width, positions // rows)))


def position(feature: Tensor, place: tuple[float, float]) -> int:
    """Index, row by row, of the position at a share of height and width.

    >>> position(torch.zeros(1, 8, 4, 6), (0.5, 0.5))
    15
    """
    height, width = feature.shape[2:]
    row, column = (min(int(share * side), side - 1) for share, side in zip(place, (height, width), strict=True))
    return row * width + column


def averages(length: int, count: int) -> Tensor:
    """Adaptive average pooling of one axis as a matrix (count, length).

    >>> averages(4, 2)
    tensor([[0.5000, 0.5000, 0.0000, 0.0000],
            [0.0000, 0.0000, 0.5000, 0.5000]])
    """
    matrix = torch.zeros(count, length)
    for row in range(count):
        begin, end = row * length // count, -(-(row + 1) * length // count)
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix


def _pooled(feature: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = feature.shape[2:]
    if (height, width) == size:
        return feature
    if feature.device.type == "mps" and (height % size[0] or width % size[1]):  # not in torch's pooling there
        return averages(height, size[0]).to(feature) @ feature @ averages(width, size[1]).to(feature).T
    return functional.adaptive_avg_pool2d(feature, size)
