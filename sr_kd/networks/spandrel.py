"""Networks of other projects through spandrel, an optional package that recognizes them by their weights."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import SrKdError
from .base import Color
from .foreign import ForeignNetwork

# Convolutional networks of the field see tens to hundreds of pixels, the far ones hardly; attention has
# no bound. So tiles of foreign networks are close to the whole image, not equal to it.
OVERLAP = 64


class SpandrelNetwork(ForeignNetwork):
    """A network that spandrel recognized by its weights.

    Args:
        descriptor: a ``spandrel.ImageModelDescriptor``.
        taps: dotted names of its submodules.

    Raises:
        UsageError: an unknown tap, or a network that does not simply map an image to an image.
    """

    type_name = "spandrel"

    def __init__(self, descriptor: Any, taps: Iterable[str] = ()) -> None:
        color: Color = "rgb" if descriptor.input_channels == 3 else "y"
        multiple = int(descriptor.size_requirements.multiple_of)
        super().__init__(descriptor.model, int(descriptor.scale), color, taps, OVERLAP, multiple)
        self.arguments = {"taps": self.arguments["taps"]}


def load_with_spandrel(tensors: Mapping[str, Tensor], path: Path, taps: Iterable[str] = ()) -> SpandrelNetwork:
    """The network that these weights belong to.

    Args:
        path: what messages call them.
        taps: dotted names of submodules.

    Raises:
        UsageError: an unknown tap.
        SrKdError: spandrel is missing or does not know them either, or they upscale nothing.
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
        raise SrKdError(f"{path}: {descriptor.architecture.name} ({descriptor.purpose}) does not upscale images")
    if descriptor.input_channels not in (1, 3) or descriptor.input_channels != descriptor.output_channels:
        raise SrKdError(f"{path}: {descriptor.architecture.name} with {descriptor.input_channels} channels in")
    return SpandrelNetwork(descriptor, taps)
