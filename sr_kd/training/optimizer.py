"""Optimizers from options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ..config.phase import Optimizer
from .soap import SOAP, SOAP_BETAS
from .student_with_losses import StudentWithLosses


def build_optimizer(options: Optimizer, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer over parameter groups; the fused implementation where the device has one.

    Each group remembers its learning rate relative to the phase's as `relative_rate`, so that the
    schedule can be applied as a function of the iteration.
    """
    groups = [dict(group) for group in groups]
    for group in groups:
        group["relative_rate"] = group.get("lr", options.lr) / options.lr
        group.setdefault("weight_decay", options.weight_decay)
    if options.type == "SOAP":
        betas = options.betas if "betas" in options.model_fields_set else SOAP_BETAS
        return SOAP(groups, options.lr, betas, options.eps, precondition_freq=options.precondition_freq)
    common: dict[str, Any] = {"lr": options.lr, "fused": _fused(groups)}
    if options.type == "SGD":
        return torch.optim.SGD(groups, momentum=options.momentum, nesterov=options.nesterov, **common)
    cls = torch.optim.Adam if options.type == "Adam" else torch.optim.AdamW
    return cls(groups, betas=options.betas, eps=options.eps, **common)


def parameter_groups(step: StudentWithLosses, options: Optimizer) -> list[dict[str, Any]]:
    """The student's parameters and whatever adapters its losses train."""
    groups: list[dict[str, Any]] = [{"params": [p for p in step.student.parameters() if p.requires_grad]}]
    for loss in step.losses.values():
        groups.extend(loss.parameter_groups(options.lr, options.weight_decay))  # type: ignore[operator]
    return groups


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the phase's learning rate; groups with a rate of their own keep their ratio to it."""
    for group in optimizer.param_groups:
        group["lr"] = value * group["relative_rate"]


def _fused(groups: list[dict[str, Any]]) -> bool:
    parameters: list[nn.Parameter] = [parameter for group in groups for parameter in group["params"]]
    return all(parameter.device.type in ("cpu", "cuda") and parameter.is_floating_point() for parameter in parameters)
