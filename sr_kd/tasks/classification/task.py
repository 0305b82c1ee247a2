"""The classification task: labeled images in, top-1 accuracy out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ...data.batch import orient
from ...losses.base import LossInputs, NetworkOutput, TeacherTail
from ...networks.base import Network
from ...training.task import Keep, Scores
from ..in_memory import InMemoryTask, network_images
from .images import LabeledImages

VALIDATION_BATCH = 512


class Classification(InMemoryTask[LabeledImages]):
    """Random images for training, whole sets for validation.

    Args:
        train, validation, options: as of `InMemoryTask`; beyond the border of an image that is moved are zeros.
    """

    def __init__(
        self, train: LabeledImages, validation: Sequence[LabeledImages], *, shift: int, **options: Any
    ) -> None:
        super().__init__(train, validation, shift=shift, **options)
        around = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        # Images are cut and turned there; not on MPS, where older versions of torch cannot copy by index.
        self.home = self.world.device if self.world.device.type == "cuda" else torch.device("cpu")
        self.pixels = torch.from_numpy(np.pad(train.images, around)).to(self.home)
        self.labels = torch.from_numpy(train.labels).to(self.home)

    def batch(self, index: int) -> LossInputs:
        draw = self.sampler.draw(index)
        image, top, left = (torch.from_numpy(part).to(self.home) for part in (draw.image, draw.top, draw.left))
        along = torch.arange(self.side, device=self.home)
        rows, columns = top[:, None] + along, left[:, None] + along
        window = self.pixels[image[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = orient(network_images(window).contiguous(), draw).to(self.world.device)
        return LossInputs(images, images, labels=self.labels[image].to(self.world.device))

    def view(self, network: Network, inputs: LossInputs, taps: Iterable[str], output: bool) -> NetworkOutput:
        return NetworkOutput(*network.features(inputs.lr, taps, output))

    def tail(self, network: Network, inputs: LossInputs, view: NetworkOutput) -> TeacherTail:
        return lambda tap, feature: network.tail(tap, feature, inputs.lr)

    @torch.no_grad()
    def validate(self, network: Network, keep: Keep | None = None) -> Scores:
        scores = {}
        for images in self.validation:
            right = 0
            for start in range(
                self.world.rank * VALIDATION_BATCH, len(images.labels), self.world.size * VALIDATION_BATCH
            ):
                part = slice(start, start + VALIDATION_BATCH)
                logits = network(network_images(torch.from_numpy(images.images[part]).to(self.world.device)))
                right += int((logits.argmax(1).cpu().numpy() == images.labels[part]).sum())
            scores[images.name] = {"top1": 100 * sum(self.world.gather(right)) / len(images.labels)}
        return scores
