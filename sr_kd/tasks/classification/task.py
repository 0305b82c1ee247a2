"""The classification task: labeled images in, top-1 accuracy out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...data.batch import orient
from ...data.sampler import PatchSampler
from ...distributed import World
from ...losses.base import LossInputs, NetworkOutput, TeacherTail
from ...training.task import Keep, Scores
from .images import LabeledImages

VALIDATION_BATCH = 512


class Classification:
    """Random images for training, whole sets for validation; everything stays in memory.

    Args:
        train: drawn from with replacement.
        validation: measured whole.
        batch_size: images per iteration, over all processes.
        shift: each image is moved by up to this many pixels to each side, zeros outside.
        hflip: mirror half of the images.
        seed, stream: of the draws, as in `PatchSampler`; batches are a pure function of them and the index.
        world: batches and validation are shared out over its processes.
    """

    def __init__(
        self,
        train: LabeledImages,
        validation: Sequence[LabeledImages],
        *,
        batch_size: int,
        shift: int,
        hflip: bool,
        seed: int,
        stream: str,
        world: World,
    ) -> None:
        self.validation, self.world, self.side = tuple(validation), world, train.images.shape[1]
        around = ((0, 0), (shift, shift), (shift, shift), (0, 0))
        # Images are cut and turned there; not on MPS, where older versions of torch cannot copy by index.
        self.home = world.device if world.device.type == "cuda" else torch.device("cpu")
        self.pixels = torch.from_numpy(np.pad(train.images, around)).to(self.home)
        self.labels = torch.from_numpy(train.labels).to(self.home)
        sizes = np.full((len(train.labels), 2), self.side + 2 * shift)
        self.sampler = PatchSampler(sizes, self.side, batch_size, hflip=hflip, rotate=False, seed=seed, stream=stream)

    def batch(self, index: int) -> LossInputs:
        draw = self.sampler.draw(index).share(self.world.rank, self.world.size)
        image, top, left = (torch.from_numpy(part).to(self.home) for part in (draw.image, draw.top, draw.left))
        along = torch.arange(self.side, device=self.home)
        rows, columns = top[:, None] + along, left[:, None] + along
        window = self.pixels[image[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = orient(network_images(window).contiguous(), draw).to(self.world.device)
        return LossInputs(images, images, labels=self.labels[image].to(self.world.device))

    def view(self, network: nn.Module, inputs: LossInputs, taps: Iterable[str], output: bool) -> NetworkOutput:
        return NetworkOutput(*network.features(inputs.lr, taps, output))  # type: ignore[operator]

    def seen_by(self, network: nn.Module, image: Tensor) -> Tensor:
        return image

    def tail(self, network: nn.Module, inputs: LossInputs, view: NetworkOutput) -> TeacherTail:
        return lambda tap, feature: network.tail(tap, feature, inputs.lr)  # type: ignore[operator]

    @torch.no_grad()
    def validate(self, network: nn.Module, keep: Keep | None = None) -> Scores:
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

    def report(self, network: nn.Module) -> dict[str, float]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


def network_images(pixels: Tensor) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 255
