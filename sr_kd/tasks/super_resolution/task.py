"""The super-resolution task: patches in, PSNR and SSIM out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from torch import Tensor

from ...data.color import rgb_to_y
from ...data.patches import PatchSource
from ...data.sets import ImageSet
from ...distributed import World
from ...errors import UsageError
from ...evaluation.benchmark import score_network
from ...evaluation.scores import merge_scores
from ...imaging.upscaler import Upscaler
from ...losses.base import LossInputs, NetworkOutput, TeacherTail
from ...networks.base import Network
from ...networks.teacher import PrivilegedTeacher
from ...training.task import Keep, Scores, Task
from .strip import make_strip
from .teacher_report import privileged_scores, teacher_report


class SuperResolution(Task):
    """Patches for training, whole images for validation.

    Args:
        patches: yields (lr, hr), RGB as soon as one of the phase's networks is; a "y" network sees their luma.
        validation: (set, protocol) pairs.
        scale: upscaling factor.
        world: validation is shared out over its processes.
    """

    def __init__(
        self,
        patches: PatchSource,
        validation: Sequence[tuple[ImageSet, str]],
        scale: int,
        metrics: Sequence[str],
        world: World,
    ) -> None:
        self.patches, self.scale = patches, scale
        self.validation, self.metrics, self.world = tuple(validation), tuple(metrics), world

    def batch(self, index: int) -> LossInputs:
        return LossInputs(*self.patches.batch(index))

    def view(self, network: Network, inputs: LossInputs, taps: Iterable[str], output: bool) -> NetworkOutput:
        image = inputs.hr if network.sees_hr else inputs.lr
        sr, features = network.features(self.seen_by(network, image), taps, output)
        return NetworkOutput(sr, features)

    def seen_by(self, network: Network, image: Tensor) -> Tensor:
        """In the network's color: RGB becomes luma for a "y" network."""
        if image.shape[1] == (1 if network.color == "y" else 3):
            return image
        if network.color == "y":
            return rgb_to_y(image)
        raise UsageError("a 'y' image cannot serve an 'rgb' network")

    def tail(self, network: Network, inputs: LossInputs, view: NetworkOutput) -> TeacherTail:
        x = view.features["compact"] if network.sees_hr else self.seen_by(network, inputs.lr)
        return lambda tap, feature: network.tail(tap, feature, x)

    def validate(self, network: Network, keep: Keep | None = None) -> Scores:
        scores: Scores = {}
        if isinstance(network, PrivilegedTeacher):
            for images, _ in self.validation:
                values = self.world.gather_shares(privileged_scores(network, images, self.world, keep))
                scores[images.name] = {"psnr": sum(values) / len(values)}
        if isinstance(network, PrivilegedTeacher) or not self.validation:
            return scores
        upscaler = Upscaler(network, scale=self.scale, device=self.world.device)  # type: ignore[arg-type]
        for images, protocol in self.validation:
            share = score_network(
                upscaler,
                images,
                protocol=protocol,
                metrics=self.metrics,
                keep=None if keep is None else partial(_keep, keep, images, protocol),
                rank=self.world.rank,
                world_size=self.world.size,
            )
            scores[images.name] = merge_scores(self.world.gather(share)).means
        return scores

    def report(self, network: Network) -> dict[str, float]:
        if not isinstance(network, PrivilegedTeacher) or not self.validation:
            return {}
        images, _ = self.validation[0]
        return teacher_report(network, images, self.world.device)

    def close(self) -> None:
        self.patches.close()


def _keep(keep: Keep, images: ImageSet, protocol: str, name: str, pixels: np.ndarray) -> None:
    """With the strip of the set's first image, always the same one."""
    keep(images.name, name, pixels, make_strip(images, protocol, pixels) if name == images.names[0] else None)
