"""Distance of images in the features of a frozen network, which nobody has to download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ..data.color import rgb_to_y, y_to_gray
from ..errors import SrKdError, UsageError
from ..networks.base import Color, SRNetwork
from ..networks.files import load_network
from ..networks.foreign import ForeignNetwork
from .base import LossInputs, TapPair
from .image import ImageLoss, Target
from .numerics import widen


class Perceptual(ImageLoss):
    """mean |f(SR) - f(target)| per layer, summed over the layers; f are the feature maps of a frozen network.

    The feature reconstruction loss of Johnson et al. (ECCV 2016) with L1 as in ESRGAN (Wang et al., 2018). In place of
    VGG it has a super-resolution network, which is shown both images as if they were LR: the phase's teacher, or one in
    a file. It costs as much as upscaling images of HR's size, up to the deepest layer, twice forward, once backward.

    Args:
        layers: names of taps of that network.
        network: its file; without one, the teacher's features are compared.
        target: what SR shall look like: "hr", or "teacher", the teacher's image.

    Raises:
        UsageError: a file of no network, or layers that it does not have.

    Source: <https://arxiv.org/abs/1603.08155>
    """

    terms = ("perceptual",)

    def __init__(
        self,
        pairs: Sequence[TapPair] = (),
        *,
        layers: Annotated[list[str], Field(min_length=1)],
        network: str | None = None,
        target: Target = "hr",
    ) -> None:
        super().__init__(pairs, target)
        self.layers = layers
        self.teacher_layers = layers if network is None else []
        # In a tuple it is no submodule: nothing to train, to save or to synchronize.
        self._own = () if network is None else (_frozen(network, layers),)

    @classmethod
    def needs_teacher(cls, options: Mapping[str, Any]) -> bool:
        return options.get("network") is None or super().needs_teacher(options)

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        sr, target = self.images(inputs)
        found = self._features(inputs, sr)
        with torch.no_grad():
            wanted = self._features(inputs, target)
        distances = [functional.l1_loss(widen(found[layer]), widen(wanted[layer])) for layer in self.layers]
        return {"perceptual": torch.stack(distances).sum()}

    def _features(self, inputs: LossInputs, image: Tensor) -> Mapping[str, Tensor]:
        if self._own:
            network = self._own[0].to(image.device)
            return network.features(_in_color(image, network.color), self.layers, False)[1]
        if inputs.teacher_features is None:
            raise UsageError("a loss of this phase looks at a teacher's features, and the phase names no teacher")
        return inputs.teacher_features(image, self.layers)


def _frozen(file: str, layers: Sequence[str]) -> SRNetwork:
    try:
        network = load_network(file).network
        if isinstance(network, ForeignNetwork):
            network = load_network(file, taps=layers).network
    except SrKdError as error:
        raise UsageError(f"the network of the perceptual loss cannot be loaded: {error}") from None
    if not isinstance(network, SRNetwork):
        raise UsageError(f"{file} holds a {type(network).__name__}, which is no super-resolution network")
    network.check_taps(layers)
    return network.deploy().requires_grad_(False)


def _in_color(image: Tensor, color: Color) -> Tensor:
    """As the network wants it: RGB (N, 3, H, W) for "rgb", luma (N, 1, H, W) for "y"."""
    if color == "y":
        return rgb_to_y(image) if image.shape[1] == 3 else image
    return image if image.shape[1] == 3 else y_to_gray(image).expand(-1, 3, -1, -1)
