"""The privileged teacher of PISR: an encoder that sees HR, and a decoder with an SR network's shape."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from ..errors import UsageError
from .activation import fix_slopes
from .base import Color, Network, SRNetwork
from .fsrcnn import RELEASED
from .hourglass import Hourglass
from .recognize import OWN_KEYS, Recognized, inside, recognize


class PrivilegedTeacher(Network):
    """Encoder and decoder (PISR, section 3.1): the compact feature takes the place of LR.

    Args:
        encoder: HR (N, C, H * scale, W * scale) -> compact feature (N, C * k, H, W).
        decoder: an SR network, treating the compact feature as it does LR: VDSR, IDN and those with a skip
            add it, upscaled bicubically, to their output, so that it stays close to LR even where no loss
            asks for that; CARN subtracts its mean. It may be larger than the student.

    Raises:
        UsageError: encoder and decoder of different scale or color, or a compact feature that is
            wider than the decoder's input.
    """

    type_name = "PrivilegedTeacher"
    sees_hr = True
    color: Color

    def __init__(self, encoder: Hourglass, decoder: SRNetwork) -> None:
        super().__init__()
        if (encoder.scale,) != decoder.scales or encoder.color != decoder.color:
            raise UsageError(
                f"teacher: the encoder is x{encoder.scale} {encoder.color}, "
                f"the decoder x{', x'.join(map(str, decoder.scales))} {decoder.color}; they must agree"
            )
        if encoder.compact_channels != decoder.input_channels:
            raise UsageError(
                f"teacher: the compact feature has {encoder.compact_channels} channels, the decoder's input "
                f"{decoder.input_channels}: set the decoder's input_channels (FSRCNN, CARN) or the encoder's k"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.scales, self.color, self.taps = decoder.scales, decoder.color, decoder.taps
        parts = {"encoder": encoder, "decoder": decoder}
        self.arguments = {name: {"type": part.type_name, **part.arguments} for name, part in parts.items()}

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """As `Network.detect`: ours, or the teacher of PISR's release."""
        encoder, rest, form = inside(tensors, "encoder."), inside(tensors, "decoder."), OWN_KEYS
        if f"{RELEASED}encoder.0.0.weight" in tensors:
            encoder = {f"layers.{key}": value for key, value in inside(tensors, f"{RELEASED}encoder.0.").items()}
            rest = {key: value for key, value in tensors.items() if not key.startswith(f"{RELEASED}encoder.")}
            form = "PISR release"
        found = Hourglass.detect(encoder)
        decoder = None if found is None else recognize(rest)
        if found is None or decoder is None:
            return None
        scale = {"scale": decoder.arguments["scale"]} if "scale" in decoder.arguments else {}
        parts = {"encoder": found, "decoder": decoder}
        described = {
            name: {"type": part.type_name, **{key: v for key, v in part.arguments.items() if key != "scales"}}
            for name, part in parts.items()
        }
        renamed = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.tensors.items()}
        return Recognized(cls.type_name, {**described, "color": found.arguments["color"], **scale}, renamed, form)

    @property
    def label(self) -> str:
        return f"{self.type_name}({self.decoder.type_name})"

    @property
    def scale(self) -> int:
        """Upscaling factor of the decoder, reduction factor of the encoder."""
        return self.decoder.scale

    def forward(self, hr: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """HR (N, C, H * scale, W * scale) -> (SR of the same size, compact feature (N, C * k, H, W))."""
        compact = self.encoder(hr)
        return self.decoder(compact), compact

    def features(self, hr: Tensor, taps: Iterable[str], output: bool = True) -> tuple[Tensor | None, dict[str, Tensor]]:
        """As `Network.features`, on HR; the compact feature is always among the features, as "compact"."""
        compact = self.encoder(hr)
        sr, found = self.decoder.features(compact, taps, output)
        return sr, {**found, "compact": compact}

    def tail(self, tap: str, feature: Tensor, x: Tensor) -> Tensor:
        """As `Network.tail`, through the decoder; `x` is the compact feature."""
        return self.decoder.tail(tap, feature, x)

    def deploy(self) -> PrivilegedTeacher:
        """A faster equivalent with a deployed decoder, equal up to rounding as `Network.deploy`."""
        encoder = copy.deepcopy(self.encoder)
        fix_slopes(encoder)
        return PrivilegedTeacher(encoder, self.decoder.deploy()).eval()

    def initialize(self, how: str) -> None:
        """Initialize encoder and decoder alike. Raises UsageError where one cannot hold it."""
        self.encoder.initialize(how)
        self.decoder.initialize(how)


def part_of(network: Network, part: Literal["encoder", "decoder"] | None) -> Network:
    """That part of a privileged teacher; without a name the network itself."""
    return network if part is None else getattr(network, part)
