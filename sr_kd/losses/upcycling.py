"""Data upcycling: the teacher labels zoomed versions of the batch that have no ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

from ..config.section import Fraction, Seed
from ..data.resize import imresize
from ..errors import UsageError
from .base import Loss, LossInputs, TapPair
from .numerics import widen

Zoom = Literal["in", "out"]


@dataclass(frozen=True)
class Augmentation:
    """An invertible change of an image (N, C, H, W) in [0, 1]: color inversion, flips, transposition."""

    invert: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    transpose: bool = False

    def apply(self, image: Tensor) -> Tensor:
        """The changed image."""
        image = 1 - image if self.invert else image
        image = image.flip(2) if self.flip_rows else image
        image = image.flip(3) if self.flip_columns else image
        return image.transpose(2, 3) if self.transpose else image

    def undo(self, image: Tensor) -> Tensor:
        """The image that `apply` changes into this one."""
        image = image.transpose(2, 3) if self.transpose else image
        image = image.flip(3) if self.flip_columns else image
        image = image.flip(2) if self.flip_rows else image
        return 1 - image if self.invert else image


def zoomed_out(lr: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """A pair made from LR: itself (cut to a multiple of the scale) as HR, bicubically reduced as LR."""
    height, width = lr.shape[2] // scale, lr.shape[3] // scale
    hr = lr[:, :, : height * scale, : width * scale]
    return imresize(hr, (height, width)), hr


def zoomed_in(hr: Tensor, scale: int, row: int, column: int) -> tuple[Tensor, Tensor]:
    """A pair made from HR: one of its scale x scale tiles as LR, bicubically upscaled as HR."""
    height, width = hr.shape[2] // scale, hr.shape[3] // scale
    lr = hr[:, :, row * height : (row + 1) * height, column * width : (column + 1) * width]
    return lr, imresize(lr, (height * scale, width * scale))


class Upcycling(Loss):
    """DUKD (Zhang et al., "Data Upcycling Knowledge Distillation", 2023), in image space.

    Terms "zoom_in" and "zoom_out": mean |undo(student(apply(x))) - teacher(x)| on inputs x made from the batch. A
    zoom-in takes a tile of HR for LR, a zoom-out the LR image reduced once more; both are in the domain of
    the training images, and the true answer to the first is not known to anyone. `apply` and `undo` are
    a random invertible augmentation, shown to the student only, so that the student also learns to be
    consistent. A privileged teacher is shown the pair's HR: the bicubically upscaled tile, or the LR image.

    Args:
        zooms: "in", "out" or both; each costs one forward pass of the teacher and one pass of the
            student (a zoom-out's are scale^2 times smaller).
        probability: of each of color inversion, the two flips and transposition; 0 switches consistency
            off. One draw per iteration for the whole batch, a function of `seed` and the iteration alone.
        seed: of the tiles and augmentations.

    On the scale of an L1 task loss whatever the patch. Starting weight for SR: 0.1 to 1.

    Source: <https://arxiv.org/abs/2309.14162>
    """

    needs_forwards = True
    tasks = ("super_resolution",)

    def __init__(
        self,
        pairs: Sequence[TapPair] = (),
        zooms: tuple[Zoom, ...] = ("in", "out"),
        probability: Fraction = 0.3,
        seed: Seed = 0,
    ) -> None:
        super().__init__(pairs)
        if not zooms:
            raise UsageError("loss Upcycling, option 'zooms': name at least one of in, out")
        self.zooms, self.probability, self.seed = zooms, probability, seed
        self.terms = tuple(f"zoom_{zoom}" for zoom in zooms)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        if inputs.trained_forward is None or inputs.teacher_forward is None:
            raise UsageError("loss Upcycling needs a student and a teacher that can be shown other images")
        scale = inputs.hr.shape[2] // inputs.lr.shape[2]
        (row, column), augmentation = self._draw(inputs.iteration, scale)
        terms = {}
        for zoom in self.zooms:
            lr, hr = zoomed_in(inputs.hr, scale, row, column) if zoom == "in" else zoomed_out(inputs.lr, scale)
            label = inputs.teacher_forward(lr, hr).detach()
            made = inputs.trained_forward(augmentation.apply(lr), augmentation.apply(hr))
            terms[f"zoom_{zoom}"] = functional.l1_loss(widen(augmentation.undo(made)), widen(label))
        return terms

    def _draw(self, iteration: int, scale: int) -> tuple[tuple[int, int], Augmentation]:
        """Tile and augmentation of an iteration: the same in every process and after every resume."""
        # In the second word: a draw takes more than one count, and the next iteration's must not overlap it.
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, iteration, 0, 0]))
        row, column = generator.integers(scale, size=2)
        chosen = generator.random(4) < self.probability
        return (int(row), int(column)), Augmentation(*map(bool, chosen))
