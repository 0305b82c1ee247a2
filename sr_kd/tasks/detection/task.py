"""The detection task: images with boxes in, mean average precision out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ...data.batch import orient
from ...errors import UsageError
from ...losses.base import LossInputs, NetworkOutput, TeacherTail
from ...networks.base import Network
from ...training.task import Keep, Scores
from ..in_memory import InMemoryTask, network_images
from .average_precision import mean_average_precision
from .shapes import DetectionImages

VALIDATION_BATCH = 50
Objects = dict[str, Tensor]  # of one image: boxes (K, 4), labels (K,), and scores (K,) where they were detected


class DetectionTask(InMemoryTask[DetectionImages]):
    """Random images for training, whole sets for validation; arguments as of `InMemoryTask`."""

    def batch(self, index: int) -> LossInputs:
        draw = self.sampler.draw(index)
        images = orient(network_images(torch.from_numpy(self.train.images[draw.image])).contiguous(), draw)
        images = images.to(self.world.device)
        return LossInputs(
            images,
            images,
            labels=[self._objects(image, flip) for image, flip in zip(draw.image, draw.hflip, strict=True)],
        )

    def view(self, network: Network, inputs: LossInputs, taps: Iterable[str], output: bool) -> NetworkOutput:
        if not output:
            return NetworkOutput(*network.features(inputs.lr, taps))
        losses, features = network.losses(inputs.lr, inputs.labels, taps)  # type: ignore[operator]
        return NetworkOutput(None, features, losses)

    def tail(self, network: Network, inputs: LossInputs, view: NetworkOutput) -> TeacherTail:
        def refuse(tap: str, feature: Tensor) -> Tensor:
            raise UsageError("a detector's feature maps lead to no single output: such a loss is for other tasks")

        return refuse

    @torch.no_grad()
    def validate(self, network: Network, keep: Keep | None = None) -> Scores:
        scores = {}
        for images in self.validation:
            shares = self.world.gather(self._detected(network, images))
            count = sum(map(len, shares))
            # Batches went round the processes in turn.
            batches = [shares[index % self.world.size][index // self.world.size] for index in range(count)]
            found = [objects for batch in batches for objects in batch]
            targets = [_objects(*entry) for entry in zip(images.boxes, images.labels, strict=True)]
            scores[images.name] = mean_average_precision(found, targets)
        return scores

    def _objects(self, image: int, flip: bool) -> Objects:
        """What is in a training image, on the device."""
        boxes = self.train.boxes[image]
        if flip:
            boxes = np.stack([self.side - boxes[:, 2], boxes[:, 1], self.side - boxes[:, 0], boxes[:, 3]], axis=1)
        objects = _objects(boxes, self.train.labels[image])
        return {key: value.to(self.world.device) for key, value in objects.items()}

    def _detected(self, network: Network, images: DetectionImages) -> list[list[Objects]]:
        """What the network finds in this process's batches of a set."""
        stride = self.world.size * VALIDATION_BATCH
        found = []
        for start in range(self.world.rank * VALIDATION_BATCH, len(images.images), stride):
            pixels = torch.from_numpy(images.images[start : start + VALIDATION_BATCH])
            detections = network(network_images(pixels).to(self.world.device))
            found.append([{key: value.cpu() for key, value in objects.items()} for objects in detections])
        return found


def _objects(boxes: np.ndarray, labels: np.ndarray) -> Objects:
    return {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
