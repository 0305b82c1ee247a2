"""Learning rates as closed-form functions of the iteration: nothing to store, nothing that drifts."""

from __future__ import annotations

import math
from itertools import repeat

from ..config.phase import Scheduler


def learning_rate(base: float, scheduler: Scheduler, iteration: int, total_iter: int, warmup_iter: int = 0) -> float:
    """The learning rate of a 0-based iteration.

    Args:
        base: the optimizer's learning rate.
        scheduler: the shape; past `total_iter` the last value stays.
        warmup_iter: the first iterations rise linearly, the last of them with the full value.

    >>> halved = Scheduler(type="multistep", milestones=[10, 20])
    >>> [learning_rate(1.0, halved, iteration, 30) for iteration in (9, 10, 20)]
    [1.0, 0.5, 0.25]
    """
    warmup = min(1.0, (iteration + 1) / warmup_iter) if warmup_iter else 1.0
    return warmup * _scheduled(base, scheduler, min(iteration, total_iter), total_iter)


def _scheduled(base: float, scheduler: Scheduler, iteration: int, total_iter: int) -> float:
    if scheduler.type == "cosine":
        begin, length, weight = _period(scheduler, iteration, total_iter)
        return scheduler.eta_min + weight * (base - scheduler.eta_min) * _cosine((iteration - begin) / length)
    if scheduler.type == "multistep":
        return base * scheduler.gamma ** sum(iteration >= milestone for milestone in scheduler.milestones)
    if scheduler.type == "one_cycle":
        rise = scheduler.pct_start * total_iter
        if iteration < rise:
            return base / 25 + (base - base / 25) * (1 - _cosine(iteration / rise))
        return base / 1e4 + (base - base / 1e4) * _cosine((iteration - rise) / max(total_iter - rise, 1))
    return base


def _period(scheduler: Scheduler, iteration: int, total_iter: int) -> tuple[int, int, float]:
    """(first iteration, length, weight) of the cosine's period; its end belongs to it, as in BasicSR."""
    begin = 0
    for length, weight in zip(scheduler.periods, scheduler.restart_weights or repeat(1.0), strict=False):
        if iteration <= begin + length:
            return begin, length, weight
        begin += length
    return begin, max(total_iter - begin, 1), 1.0


def _cosine(progress: float) -> float:
    """1 at 0, 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
