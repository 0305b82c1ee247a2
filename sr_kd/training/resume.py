"""Where a phase begins: at its start, or at the newest state that fits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..errors import UsageError
from .checkpoint import StateFolder
from .stage import PhasePlan, PhaseStage

logger = logging.getLogger("sr_kd")
# From the options that a state was saved with to what was changed since, in words.
Changes = Callable[[Mapping[str, Any]], Sequence[str]]


@dataclass(frozen=True)
class Start:
    """Where a phase goes on.

    Attributes:
        index: of the stage. stage: made and loaded, where a state was. iteration: how many of the stage are finished.
        clock: how many of the phase are.
        best: of `Validation`. skipped: steps that earlier stages left out.
        history: of each time when the phase went on with other options: after which iteration, and what was changed.
    """

    index: int = 0
    iteration: int = 0
    clock: int = 0
    stage: PhaseStage | None = None
    best: Any = field(default_factory=dict)
    skipped: int = 0
    history: Sequence[dict[str, Any]] = ()


def resume(plan: PhasePlan, states: StateFolder, changes: Changes = lambda record: ()) -> Start:
    """Load the newest state that fits into the plan; a state that does not is reported, and the one before it taken.

    Where options were changed since, what has the same name and shape goes on, and the rest begins anew.

    Raises:
        UsageError: a state cannot go on with the changed options.
    """
    found = states.load_latest()
    while found is not None:
        clock, saved = found
        try:
            return _restore(plan, clock, saved, list(changes(saved.get("record") or {})))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            logger.warning("%s does not fit (%s); trying the state before it", states.folder / f"{clock}.state", error)
            found = states.load_latest(below=clock)
    return Start()


def _restore(plan: PhasePlan, clock: int, saved: Mapping[str, Any], changed: list[str]) -> Start:
    """Everything is looked at before anything is loaded into the networks."""
    index, iteration = int(saved["stage"]), int(saved["iteration"])
    history = list(saved.get("history", ()))
    if changed:
        _check_change(plan, index, iteration, saved)
        history.append({"iteration": clock, "changes": changed})
    elif not 0 <= iteration <= plan.lengths[index]:
        raise ValueError(f"iteration {iteration} of {plan.lengths[index]}")
    own = _fitting(plan.step, saved["step"], anew=bool(changed))
    average = None
    if plan.ema is not None:
        average = _fitting(plan.ema.network, saved["ema"] or {}, anew=bool(changed))
    stage = plan.stages[index]()
    stage.optimization.load_state_dict(saved["optimization"], anew=bool(changed))
    plan.step.load_state_dict(own)
    if plan.ema is not None and average is not None:
        plan.ema.load_state_dict(average if saved["ema"] else plan.step.student.state_dict())
    return Start(index, iteration, clock, stage, saved["best"], int(saved.get("skipped", 0)), history)


def _check_change(plan: PhasePlan, index: int, iteration: int, saved: Mapping[str, Any]) -> None:
    *before, _ = saved.get("lengths", plan.lengths)
    *now, total_iter = plan.lengths
    if before != now or index != len(now):
        raise UsageError(
            "a pre-training (of FT or IEKD) cannot be changed, added or left out when a phase goes on: "
            "give the recipe another name"
        )
    if total_iter < iteration:
        raise UsageError(f"total_iter is {total_iter}, and {iteration} iterations are done already")


def _fitting(module: nn.Module, saved: Mapping[str, Tensor], anew: bool) -> dict[str, Tensor]:
    """The saved weights, where `anew` with the present ones in place of those that do not fit.

    Raises:
        ValueError: weights that do not fit.
    """
    present = module.state_dict()
    fits = {name for name, value in saved.items() if name in present and present[name].shape == value.shape}
    if anew:
        return {name: saved[name] if name in fits else value for name, value in present.items()}
    differing = [name for name in {**present, **saved} if name not in fits]
    if differing:
        raise ValueError(f"{len(differing)} tensors differ, such as {differing[0]}")
    return dict(saved)
