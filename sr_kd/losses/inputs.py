"""What a loss looks at: a batch, and all that the networks made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import UsageError
from ..networks.base import Tap

TeacherTail = Callable[[str, Tensor], Tensor]
Forward = Callable[[Tensor, Tensor], Tensor]
Features = Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TapPair:
    """A student tap and the teacher tap it learns from.

    Attributes:
        student, teacher: tap names.
        student_tap, teacher_tap: their channels and strides, from which adapters are created.
    """

    student: str
    teacher: str
    student_tap: Tap
    teacher_tap: Tap

    @property
    def key(self) -> str:
        """A name that can serve as a module and log name (no dots)."""
        names = self.student if self.student == self.teacher else f"{self.student}-{self.teacher}"
        return names.replace(".", "_")


@dataclass(frozen=True)
class NetworkOutput:
    """What one network made of the batch.

    Attributes:
        output: SR (N, C, H * scale, W * scale) in [0, 1], not clamped (or logits (N, K)); None if not computed.
        features: tap name -> feature map (N, C_tap, h, w). A privileged teacher adds "compact".
        losses: what a detector, which has no output of that kind, makes of the targets itself; empty elsewhere.
    """

    output: Tensor | None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LossInputs:
    """One batch and all that a loss may look at: a task gives the images, the networks add what they make of them.

    Attributes:
        lr: LR images (N, C, H, W), in the trained network's color (classification, detection: the input images).
        hr: HR images (N, C, H * scale, W * scale).
        trained: what the network that this phase trains made of it, gradients attached.
        teacher: what the frozen teacher made of it, without gradients; None in a phase that has none.
        teacher_tail: (teacher tap, feature) -> image or logits, through the teacher's frozen layers, with
            gradients to the feature.
        labels: class indices (N,), or per image a detector's boxes (K, 4) and labels (K,); None for
            super-resolution.
        iteration: 0-based, counted from the start of the phase.
        trained_forward, teacher_forward: (lr, hr) -> output for a pair other than the batch; each network
            is shown the image that it is entitled to (a privileged teacher HR, all others LR). Gradients
            as in `trained` and `teacher`.
        teacher_features: (image of any size, teacher taps) -> its maps of that image, with gradients to the image.
    """

    lr: Tensor
    hr: Tensor
    trained: NetworkOutput = NetworkOutput(None)
    teacher: NetworkOutput | None = None
    teacher_tail: TeacherTail | None = None
    labels: Any = None
    iteration: int = 0
    trained_forward: Forward | None = None
    teacher_forward: Forward | None = None
    teacher_features: Features | None = None

    @property
    def trained_output(self) -> Tensor:
        """The trained network's output. Raises ValueError if the step did not compute it."""
        if self.trained.output is None:
            raise ValueError("the trained network's output was not computed")
        return self.trained.output

    @property
    def required_teacher(self) -> NetworkOutput:
        """The teacher's view. Raises UsageError in a phase that has no teacher."""
        if self.teacher is None:
            raise UsageError("a loss of this phase learns from a teacher, and the phase names none")
        return self.teacher

    @property
    def teacher_output(self) -> Tensor:
        """The teacher's output, detached.

        Raises:
            UsageError: there is no teacher. ValueError: the step did not compute its output.
        """
        if self.required_teacher.output is None:
            raise ValueError("the teacher's output was not computed")
        return self.required_teacher.output.detach()
