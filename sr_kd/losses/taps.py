"""What losses have in common that are one distance of feature maps, summed over the pairs of taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .base import MIDDLE, ComparedMaps, Loss, LossInputs, Position, TapPair
from .shapes import match_size


class TapLoss(Loss):
    """Base of losses with one term, the sum of `compare` over the pairs."""

    needs_pairs = True

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        losses = [
            self.compare(self.adapted(pair, student), teacher) for pair, student, teacher in self.compared(inputs)
        ]
        return {self.terms[0]: torch.stack(losses).sum()}

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The distance, a scalar, of two maps (N, C_S, H, W) and (N, C_T, h, w) as the networks made them."""
        raise TypeError(f"{type(self).__name__} does not define compare()")

    def adapted(self, pair: TapPair, student: Tensor) -> Tensor:
        """The student's map as it is compared; by default as it is."""
        return student

    def maps(self, inputs: LossInputs, place: Position = MIDDLE) -> Iterator[ComparedMaps]:
        """As `Loss.maps`, of the adapted map."""
        for pair, student, teacher in self.compared(inputs):
            adapted = self.adapted(pair, student)
            if adapted.shape[1] == teacher.shape[1]:
                yield ComparedMaps.error(pair, *match_size(adapted, teacher))

    def both_maps(
        self, inputs: LossInputs, title: str, text: str, function: Callable[[Tensor], Tensor], marked: bool = False
    ) -> Iterator[ComparedMaps]:
        """A function (N, C, H, W) -> (N, H, W) of both maps of every pair, for `maps`."""
        for pair, *features in self.compared(inputs):
            yield ComparedMaps.both(pair, title, text, function, *features, marked=marked)
