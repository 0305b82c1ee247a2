"""Networks of other projects through spandrel, an optional package that recognises them by their weights."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import SrKdError
from .base import SRNetwork

# Convolutional networks of the field see tens to hundreds of pixels, the far ones hardly; attention has
# no bound. So tiles of foreign networks are close to the whole picture, not equal to it.
OVERLAP = 64


class SpandrelNetwork(SRNetwork):
    """A network that spandrel built, as an `SRNetwork` without taps."""

    type_name = "foreign network"

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.arguments = {}
        self.scales = (int(descriptor.scale),)
        self.colour = "rgb" if descriptor.input_channels == 3 else "y"
        self.taps = {}
        self.receptive_radius = OVERLAP
        self.model = descriptor.model
        self._descriptor = descriptor

    def forward(self, x: Tensor) -> Tensor:
        """As `SRNetwork.forward`; sizes that the network cannot take are padded and cut by spandrel."""
        return self._descriptor(x)


def load_with_spandrel(tensors: Mapping[str, Tensor], path: Path) -> SpandrelNetwork:
    """The network that these weights belong to.

    Raises:
        SrKdError: spandrel is missing or does not know them either, or they enlarge nothing.
    """
    unknown = f"{path}: weights of no network known here; its first keys: {', '.join(list(tensors)[:3])}"
    try:
        spandrel = importlib.import_module("spandrel")
    except Exception as error:  # it imports torchvision, which fails in many ways
        raise SrKdError(
            f"{unknown}; spandrel knows ESRGAN, RCAN, SwinIR and others, but cannot be imported ({error}): "
            f"pip install 'sr_kd[spandrel]', with a torchvision that belongs to the installed torch"
        ) from None
    try:
        descriptor = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except Exception:  # spandrel raises whatever weights that look familiar lead to
        raise SrKdError(f"{unknown} (spandrel does not know them either)") from None
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or descriptor.scale < 2:
        raise SrKdError(f"{path}: {descriptor.architecture.name} ({descriptor.purpose}) does not enlarge pictures")
    if descriptor.input_channels not in (1, 3) or descriptor.input_channels != descriptor.output_channels:
        raise SrKdError(f"{path}: {descriptor.architecture.name} with {descriptor.input_channels} channels in")
    return SpandrelNetwork(descriptor)
