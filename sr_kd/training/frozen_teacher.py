"""The frozen teacher of a phase, and how its and the student's passes are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..config.section import Compile, Precision
from ..losses.base import LossInputs, NetworkOutput
from ..losses.numerics import widen
from ..networks.base import Network
from .student_with_losses import StudentWithLosses, output_for
from .task import Task
from .teacher_cache import TeacherCache


class FrozenTeacher:
    """A frozen teacher, asked only for what the losses need.

    Args:
        network: put in eval mode, without gradients, by this class.
        step: its losses say which taps and whether the output are wanted.
        precision: in which the network computes; what it teaches is never less than float32.
        compile: through torch.compile, but never as CUDA graphs: what one captured graph gives may be overwritten
            when the next one, the student's, begins.
        cache: of batches that recur.
    """

    def __init__(
        self,
        network: Network,
        step: StudentWithLosses,
        task: Task,
        precision: Precision = "fp32",
        compile: bool = False,
        cache: TeacherCache | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.student = step.student
        self.task = task
        self.taps = step.teacher_taps
        self.needs_output = step.needs_teacher_output
        self.precision, self._cache = precision, cache
        self._view = compiled(task.view, compile)

    def shown(self, inputs: LossInputs) -> LossInputs:
        """The batch with the teacher's features, output (in the student's color), tail, and answers to other pairs.

        `no_grad`, because inference tensors cannot be saved.
        """
        with torch.no_grad(), autocast(inputs.lr.device, self.precision):
            compute = partial(self._view, self.network, inputs, self.taps, self.needs_output)
            view = compute() if self._cache is None else self._cache.view(inputs, compute)
        output = None if view.output is None else self.task.seen_by(self.student, widen(view.output))
        made = NetworkOutput(output, {tap: widen(feature) for tap, feature in view.features.items()})
        tail = self.task.tail(self.network, inputs, made)
        return replace(
            inputs,
            teacher=made,
            teacher_tail=lambda tap, feature: self.task.seen_by(self.student, tail(tap, feature)),
            teacher_forward=self._forward,
            teacher_features=self._features,
        )

    def _forward(self, lr: Tensor, hr: Tensor) -> Tensor:
        """The teacher's output for a pair other than the batch."""
        with torch.no_grad(), autocast(lr.device, self.precision):
            return widen(output_for(self.network, self.task, lr, hr))

    def _features(self, image: Tensor, taps: Sequence[str]) -> Mapping[str, Tensor]:
        """The teacher's maps of an image, with gradients to it."""
        return self.task.view(self.network, LossInputs(image, image), taps, output=False).features


def compiled(function: Callable[..., Any], how: Compile) -> Callable[..., Any]:
    """A function through torch.compile; as it is for False."""
    return torch.compile(function, mode=None if how is True else how) if how else function


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Mixed precision, or with "fp32" none, whatever is in force around it."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")
