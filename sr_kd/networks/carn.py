"""CARN and CARN-M, cascading residual networks (Ahn, Kang, Sohn, ECCV 2018)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from .base import Color, Skip, SRNetwork, Stage, Tap, check_scales
from .bicubic import set_delta, upscale_phases
from .recognize import OWN_KEYS, Recognized, color_of, input_channels_of, skip_of

WIDTH = 64
KNOWN_SCALES = (2, 3, 4)
RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K
Y_MEAN = (0.4379,)  # BT.601 luma of RGB_MEAN
Variant = Literal["standard", "mobile"]


class CARN(SRNetwork):
    """Three cascading blocks at LR resolution, then convolution and pixel shuffle per scale.

    The taps `entry` and `body` are cuts; `cascade1` and `cascade2` (after the first and second
    block) are not, because later fusions look past them.

    Args:
        scale: 2, 3 or 4. scales: several, for one network with a head for each.
        color: "rgb" or "y".
        variant: "standard", or "mobile" for CARN-M: grouped convolutions, units shared within a block.
        groups: of the mobile variant's 3x3 convolutions.
        input_channels: channels of the input where it is not an image (a wider compact feature; no
            mean is subtracted from it).
        skip: "bicubic": the bicubically upscaled input is added to the output, in place of the mean.
            "none" in the paper.

    RGB, x2 / x3 / x4: 964,163 / 1,148,803 / 1,111,875 parameters (mobile 257,027 / 303,427 / 294,147);
    all three scales in one: 1,591,939 (mobile 414,787).
    """

    type_name = "CARN"

    def __init__(
        self,
        scale: int | None = None,
        color: Color = "rgb",
        variant: Variant = "standard",
        groups: int = 4,
        scales: Sequence[int] = (),
        input_channels: int | None = None,
        skip: Skip = "none",
    ) -> None:
        super().__init__()
        served = check_scales(self.type_name, KNOWN_SCALES, scale, scales)
        if groups < 1 or WIDTH % groups:
            raise UsageError(f"CARN: groups must divide {WIDTH}; found {groups}")
        self.arguments = {
            "scale": scale,
            "color": color,
            "variant": variant,
            "groups": groups,
            "scales": list(scales),
            "input_channels": input_channels,
            "skip": skip,
        }
        self.color = color
        self.taps = {
            "entry": Tap(WIDTH),
            "cascade1": Tap(WIDTH, cut=False),
            "cascade2": Tap(WIDTH, cut=False),
            "body": Tap(WIDTH),
        }
        mean = torch.tensor(RGB_MEAN if color == "rgb" else Y_MEAN).view(1, -1, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.mean: Tensor
        self.use_skip(skip)
        self.entry = nn.Conv2d(self.input_channels, WIDTH, 3, padding=1)
        self.body = Cascade(_block(variant, groups) for _ in range(3))
        up_groups = groups if variant == "mobile" else 1
        self.heads = nn.ModuleDict({f"x{value}": _head(value, up_groups) for value in served})
        self.exit = nn.Conv2d(WIDTH, self.channels, 3, padding=1)
        self._serve(served)

    @classmethod
    def detect(cls, tensors: Mapping[str, Tensor]) -> Recognized | None:
        """Ours, or github.com/nmhkahn/CARN-pytorch, CARN and CARN-M."""
        known, form = dict(tensors), OWN_KEYS
        if "b1.c1.body.0.weight" in tensors:
            known, form = _renamed(tensors), "CARN-pytorch"
        if "body.fusions.0.0.weight" not in known:
            return None
        output, channels = known["exit.weight"].shape[0], known["entry.weight"].shape[1]
        scales = sorted({int(key.split(".")[1].removeprefix("x")) for key in known if key.startswith("heads.")})
        mobile = "body.units.0.units.1.body.0.weight" not in known
        unit = known["body.units.0.units.0.body.0.weight"]
        arguments = {
            "color": color_of(output),
            "variant": "mobile" if mobile else "standard",
            **({"groups": unit.shape[0] // unit.shape[1]} if mobile else {}),
            "input_channels": input_channels_of(channels, output),
            "skip": skip_of(known),
            **({"scale": scales[0]} if len(scales) == 1 else {"scales": scales}),
        }
        return Recognized(cls.type_name, arguments, known, form)

    def _serve(self, scales: tuple[int, ...]) -> None:
        self.scales = scales
        self.heads = nn.ModuleDict({f"x{scale}": self.heads[f"x{scale}"] for scale in scales})
        self.receptive_radius = 1 + 3 * 3 * 2 + 2  # entry, nine units of two, head with exit (at every scale)

    def stages(self) -> Sequence[Stage]:
        return [
            ("entry", lambda _, context: self._enter(context[0])),
            ("cascade1", lambda entry, _: self.body.step(0, (entry, entry))),
            ("cascade2", lambda state, _: self.body.step(1, state)),
            ("body", lambda state, _: self.body.step(2, state)[0]),
            ("output", lambda body, context: self._reconstruct(body, context[1])),
        ]

    def context(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.rounded(x), self.skipped(x)

    def _enter(self, x: Tensor) -> Tensor:
        return self.entry(x - self.mean if self.input_channels == self.channels else x)

    def _reconstruct(self, body: Tensor, skipped: Tensor | None) -> Tensor:
        return self.exit(self.heads[f"x{self.scale}"](body)) + (self.mean if skipped is None else skipped)

    def own_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        others = tuple(f"heads.x{scale}." for scale in KNOWN_SCALES if scale not in self.scales)
        return {key: value for key, value in tensors.items() if not key.startswith(others)}

    def observe(self, state: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        return state if isinstance(state, Tensor) else state[0]

    def initializations(self) -> dict[str, Callable[[], None]]:
        return {**super().initializations(), "bicubic": self._bicubic}

    def _bicubic(self) -> None:
        """Start as a bicubic interpolator (exact inside the border; with a skip everywhere, without a residual).

        Nine channels per color carry LR, shifted by -1, 0, 1 in both directions, through the body: images
        are positive, so the ReLUs pass them once the entry's bias has added the mean again. The head
        sums them up to bicubic phases, raised by 1 where a ReLU follows, and the exit takes that off.
        """
        if "skip" in self._buffers:
            for convolution in _convolutions(self):
                convolution.reset_parameters()
            for parameter in self.exit.parameters():
                parameter.zero_()
            return
        shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        groups = self.arguments["groups"] if self.arguments["variant"] == "mobile" else 1
        room = WIDTH // max(groups, self.channels)
        if self.input_channels != self.channels or room < len(shifts):
            raise UsageError(
                f"CARN can hold bicubic only with an image as input and groups of at least {len(shifts)} channels "
                f"(groups up to {WIDTH // len(shifts)})"
            )
        for convolution in _convolutions(self):
            convolution.reset_parameters()
        carriers = [room * color + index for color in range(self.channels) for index in range(len(shifts))]
        for carrier in carriers:
            color, index = divmod(carrier, room)
            set_delta(self.entry.weight, self.entry.bias, carrier, color, shifts[index])
            self.entry.bias[carrier] = self.mean.flatten()[color]  # type: ignore[index]
        self.body.pass_through(carriers)
        for scale, head in zip(self.scales, self.heads.values(), strict=True):
            _hold_bicubic(_convolutions(head), scale, room, self.channels)
        self.exit.weight.zero_()
        for color in range(self.channels):
            set_delta(self.exit.weight, self.exit.bias, color, room * color)
        self.exit.bias.copy_(-1 - self.mean.flatten())  # type: ignore[union-attr]


class Cascade(nn.Module):
    """Three units; each one's output joins all before it and a 1x1 convolution fuses them.

    Args:
        units: three modules of 64 -> 64 channels, or one that is applied three times.
    """

    def __init__(self, units: Iterable[Cascade | Residual]) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.fusions = nn.ModuleList(
            nn.Sequential(nn.Conv2d(WIDTH * joined, WIDTH, 1), nn.ReLU(inplace=True)) for joined in (2, 3, 4)
        )

    def step(self, index: int, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(fused, everything so far) after unit `index` -> the same after the next one."""
        fused, joined = state
        joined = torch.cat([joined, self.units[index % len(self.units)](fused)], dim=1)
        return self.fusions[index](joined), joined

    def forward(self, x: Tensor) -> Tensor:
        state = (x, x)
        for index in range(len(self.fusions)):
            state = self.step(index, state)
        return state[0]

    def pass_through(self, carriers: Sequence[int]) -> None:
        """Make these channels of the output those of the input, where they are positive."""
        for unit in self.units:
            unit.pass_through(carriers)  # type: ignore[operator]
        for convolution in _convolutions(self.fusions):
            for carrier in carriers:
                set_delta(convolution.weight, convolution.bias, carrier, carrier)


class Residual(nn.Module):
    """ReLU(x + convolutions(x)): two 3x3 convolutions, or CARN-M's two grouped ones and a 1x1."""

    def __init__(self, variant: Variant, groups: int) -> None:
        super().__init__()
        if variant == "standard":
            self.body = nn.Sequential(_convolution(WIDTH), nn.ReLU(inplace=True), _convolution(WIDTH))
        else:
            self.body = nn.Sequential(
                _convolution(WIDTH, groups),
                nn.ReLU(inplace=True),
                _convolution(WIDTH, groups),
                nn.ReLU(inplace=True),
                nn.Conv2d(WIDTH, WIDTH, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu_(x + self.body(x))

    def pass_through(self, carriers: Sequence[int]) -> None:
        """Add nothing to these channels."""
        for parameter in self.body[-1].parameters():
            parameter[list(carriers)] = 0


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def _convolution(out: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(WIDTH, out, 3, padding=1, groups=groups)


def _block(variant: Variant, groups: int) -> Cascade:
    return Cascade(Residual(variant, groups) for _ in range(3 if variant == "standard" else 1))


def _head(scale: int, groups: int) -> nn.Sequential:
    """Convolution, ReLU and pixel shuffle; twice by 2 for x4."""
    layers: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        layers += [_convolution(WIDTH * factor**2, groups), nn.ReLU(inplace=True), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


def _hold_bicubic(head: list[nn.Conv2d], scale: int, room: int, colors: int) -> None:
    """Sum the carriers up to bicubic phases, plus 1, in channel ``room * color`` of the head's output.

    x4 computes its 16 phases at once, four in each of four channels, and the second step spreads them.
    """
    first, phases = head[0], upscale_phases(scale)
    factor = 2 if scale == 4 else scale
    held = scale // factor
    width = first.weight.shape[1]
    for color in range(colors):
        base = room * color
        for y in range(scale):
            for x in range(scale):
                channel = base + held * (y % held) + x % held
                row = channel * factor**2 + factor * (y // held) + x // held
                first.weight[row] = 0
                first.bias[row] = 1  # type: ignore[index]
                for ky, kx in product(range(-2, 3), repeat=2):
                    # the shift of -1, 0, 1 that a carrier brings, and what is left for the 3x3 window
                    sy, sx = int(ky / 2), int(kx / 2)
                    source = base + 3 * (sy + 1) + sx + 1
                    weight = phases[y][ky + 2] * phases[x][kx + 2]
                    first.weight[row, source % width, 1 + ky - sy, 1 + kx - sx] += weight
        if held > 1:
            for phase in range(4):
                set_delta(head[1].weight, head[1].bias, base * 4 + phase, (base + phase) % width)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CARN-pytorch's keys to ours; the constant mean shift is left out."""

    def unit(match: re.Match[str]) -> str:
        kind = "units" if match[1] == "b" else "fusions"
        return f"{kind}.{int(match[2]) - 1}."

    renamed = {}
    for key, value in tensors.items():
        if key.startswith(("entry.", "exit.")):
            renamed[key] = value
        elif key.startswith("upsample.up"):
            head, _, rest = key.removeprefix("upsample.up").partition(".body.")
            renamed[f"heads.x{head or _scale_of_single_head(tensors)}.{rest}"] = value
        elif not key.startswith(("sub_mean.", "add_mean.")):
            key = re.sub(r"([bc])(\d)\.", unit, key)
            renamed["body." + re.sub(r"(fusions\.\d\.)body\.", r"\1", key)] = value
    return renamed


def _scale_of_single_head(tensors: Mapping[str, Tensor]) -> int:
    rows, channels = tensors["upsample.up.body.0.weight"].shape[0], tensors["exit.weight"].shape[1]
    return 4 if "upsample.up.body.3.weight" in tensors else round((rows / channels) ** 0.5)
