"""An optimizer that leaves out every step whose gradient is NaN or Inf, and counts those steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .optimizer import set_learning_rate

# From GradScaler's first scale, 65536, to below 1: so often float16 alone may be the reason.
HALVINGS = 17


class Optimization:
    """From a loss to changed weights.

    Whether a gradient is finite is seen from its norm, which is the same on all processes. On a CUDA device the
    optimizer's kernel looks at the answer itself, so that nobody waits for it.

    Args:
        optimizer: over all that trains.
        clip: largest norm of the gradient of all that trains; 0 for any.
        half: float16, whose gradients are scaled.
        most: steps that may be left out in a row.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, *, clip: float = 0, half: bool = False, most: int
    ) -> None:
        self.optimizer, self.clip = optimizer, clip
        self.most = most + HALVINGS if half else most
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        # Steps left out: all, those up to now in a row, the longest row, and the last one's iteration.
        self.left_out = torch.tensor([0, 0, 0, -1], device=device)

    def begin(self, learning_rate: float | None = None) -> None:
        """An iteration, without gradients."""
        if learning_rate is not None:
            set_learning_rate(self.optimizer, learning_rate)
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one part of the iteration."""
        self.scaler.scale(loss).backward()

    def step(self, iteration: int) -> Tensor:
        """Change the weights, or leave the step out; returns the norm of the gradient, ()."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.get_total_norm([each.grad for each in self.parameters if each.grad is not None])
        bad = ~torch.isfinite(norm)
        if self.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif norm.is_cuda and self.optimizer.defaults.get("fused") and self.optimizer.state:
            self.optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bad:
            self.optimizer.step()
        self._count(bad, iteration)
        return norm

    def _count(self, bad: Tensor, iteration: int) -> None:
        count, row, longest, last = self.left_out
        row = (row + 1) * bad
        self.left_out = torch.stack([count + bad, row, longest.maximum(row), torch.where(bad, iteration, last)])

    def is_stuck(self, measure: bool) -> bool:
        """Whether too many steps in a row were left out; a CUDA device is asked only where one waits for it anyway."""
        return (measure or not self.left_out.is_cuda) and int(self.left_out[2]) >= self.most

    @property
    def skipped(self) -> int:
        """Steps that were left out."""
        return int(self.left_out[0])

    @property
    def last_skipped(self) -> int:
        """The last one's iteration; -1 if there is none."""
        return int(self.left_out[3])

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "left_out": self.left_out.cpu(),
        }

    def load_state_dict(self, state: dict[str, Any], anew: bool = False) -> None:
        """Continue from `state_dict`.

        Args:
            anew: options were changed. The optimizer keeps its own, and takes over the past gradients if it is of the
                same kind over the same parameters; a row of steps that were left out ends.
        """
        if "left_out" in state:  # not in states of earlier versions
            self.left_out = state["left_out"].to(self.left_out)
        if anew:
            self.left_out[1:3] = 0
            self._take_over(state.get("optimizer", {}))
            return
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])

    def _take_over(self, saved: dict[str, Any]) -> None:
        own = self.optimizer.state_dict()
        groups, past = own["param_groups"], saved.get("state", {})
        parameters = [number for group in groups for number in group["params"]]
        kinds = [set(group) for group in groups] == [set(group) for group in saved.get("param_groups", [])]
        if kinds and parameters == [number for group in saved["param_groups"] for number in group["params"]]:
            alike = zip(parameters, self.parameters, strict=True)
            if all(_fits(past.get(number, {}), parameter) for number, parameter in alike):
                self.optimizer.load_state_dict({"state": past, "param_groups": groups})


def _fits(state: dict[str, Any], parameter: Tensor) -> bool:
    """Whether averages of gradients have their number of elements."""
    averages = [value for name, value in state.items() if name in ("exp_avg", "exp_avg_sq", "momentum_buffer")]
    return all(isinstance(value, Tensor) and value.numel() == parameter.numel() for value in averages)


class Optimizations:
    """Several of them by name, each perhaps several itself: saved, continued and counted as one."""

    def __init__(self, parts: Mapping[str, Optimization | Optimizations]) -> None:
        self.parts = dict(parts)

    @property
    def skipped(self) -> int:
        """Steps that any of them left out."""
        return sum(part.skipped for part in self.parts.values())

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any], anew: bool = False) -> None:
        """As `Optimization.load_state_dict`; with `anew` a part may be new, or the first one alone have been there."""
        if anew and not self.parts.keys() & state.keys():
            state = {next(iter(self.parts), ""): state}
        for name, part in self.parts.items():
            part.load_state_dict(state.get(name, {}) if anew else state[name], anew)
