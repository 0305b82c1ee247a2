"""The named evaluation protocols: how LR is made, what the network sees, what is compared.

All images here are levels in 0..255, floating point, (C, H, W) with C = 1 or 3. A one-channel image
is its own Y; an RGB network sees it in three channels and the mean of its output is the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..data.color import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from ..data.resize import imresize
from ..errors import UsageError, unknown_name
from ..imaging.color import TensorFunction
from ..networks.base import Color


@dataclass(frozen=True)
class Protocol:
    """One evaluation rule.

    Attributes:
        name: as in option files and tables.
        rule: one line for people, printed under every table.
        rounding: what a bicubic resize rounds to integers: each pass, its result, or nothing.
        measures: "y": Y is compared; "rgb": the three channels.
        luma_first: HR is reduced to its 8-bit Y before anything else (then LR files are of no use).
        round_luma: for a Y network, the Y of HR is rounded to 8 bit as well.
    """

    name: str
    rule: str
    rounding: Literal["pass", "result", "none"] = "pass"
    measures: Literal["y", "rgb"] = "y"
    luma_first: bool = False
    round_luma: bool = False

    def described(self, lr_from_files: bool) -> str:
        """The rule, as it is for a set that brings its own LR images.

        >>> find_protocol("rgb").described(True)
        'LR from files; 8-bit RGB LR, SR rounded to 8 bit; on R, G and B, scale pixels cropped'
        """
        if not lr_from_files:
            return self.rule
        return f"LR from files; {self.rule.replace(f' ({_BICUBIC})', '')}"

    def check(self, color: Color | None, lr_from_files: bool) -> None:
        """Refuse what the protocol cannot measure.

        Args:
            color: of the network; None for bicubic.
            lr_from_files: whether the set brings its own LR images.

        Raises:
            UsageError: an RGB network or LR files under a protocol of luma alone.
        """
        if self.luma_first and color == "rgb":
            raise UsageError(f"protocol '{self.name}' measures networks of luma (Y); for an RGB network use 'rgb8'")
        if self.luma_first and lr_from_files:
            raise UsageError(f"protocol '{self.name}' makes LR from the Y of HR; leave LR out, or use 'rgb8'")

    def prepare(self, hr: Tensor, lr: Tensor | None, scale: int) -> tuple[Tensor, Tensor]:
        """HR and LR as this protocol starts from them.

        Args:
            hr: (C, H, W), sides multiples of `scale`.
            lr: the LR image if it comes from a file, else None.
        """
        if self.luma_first:
            hr = quantize(luma(hr.double()))
        if lr is None:
            lr = self.resize(hr, (hr.shape[-2] // scale, hr.shape[-1] // scale))
        return hr, lr

    def upscale(self, lr: Tensor, size: tuple[int, int], color: Color | None, network: TensorFunction) -> Tensor:
        """The SR image in 8-bit levels, float32.

        Three channels where both the image and the network (or bicubic) are colored, or where the
        protocol measures three: then a Y network's result gets bicubic Cb and Cr. Else one.

        Args:
            lr: (C, h, w) in levels.
            size: (H, W) of the result.
            color: of the network; None: bicubic interpolation.
            network: (C, h, w) in [0, 1] and its color, float32 -> (C, H, W), not clamped.
        """
        if color is None:
            return quantize(self.resize(lr, size)).to(torch.float32)
        seen = luma(lr) if color == "y" else lr.expand(3, -1, -1)
        sr = 255 * network((seen / 255).to(torch.float32))
        if color == "rgb" and lr.shape[0] == 1:
            sr = sr.mean(dim=0, keepdim=True)
        elif color == "y" and lr.shape[0] == 3 and self.measures == "rgb":
            sr = with_chroma(sr, lr)
        return quantize(sr)

    def compared(self, sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
        """What metrics see of the SR and the HR image, in the precision and on the device of SR."""
        hr = hr.to(sr)
        if self.measures == "y":
            from_luma_network = sr.shape[0] == 1 and hr.shape[0] == 3
            sr, hr = luma(sr), luma(hr)
            if self.round_luma and from_luma_network:
                hr = quantize(hr)
        return sr, hr

    def resize(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A bicubic resize in float64, rounded as the protocol says."""
        resized = imresize(image.double(), size, levels=255 if self.rounding == "pass" else None)
        return quantize(resized) if self.rounding == "result" else resized


_BICUBIC = "MATLAB bicubic, rounded after each pass"
_SHARED = f"8-bit RGB LR ({_BICUBIC}), SR rounded to 8 bit"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("rgb8", f"{_SHARED}; on Y (BT.601, 16..235, not rounded), scale pixels cropped"),
        Protocol(
            "yfloat",
            "8-bit Y of HR, LR and SR of Y in floating point (MATLAB bicubic), SR rounded once; "
            "on Y (BT.601, 16..235), scale pixels cropped",
            rounding="none",
            luma_first=True,
        ),
        Protocol(
            "basicsr",
            "as BasicSR: 8-bit images, resizes rounded once, cropped by scale pixels, then Y "
            "(BT.601, 16..235, not rounded; 8-bit Y of both for a Y network)",
            rounding="result",
            round_luma=True,
        ),
        Protocol("rgb", f"{_SHARED}; on R, G and B, scale pixels cropped", measures="rgb"),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises UsageError with the nearest name if there is none."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def to_levels(pixels: np.ndarray) -> Tensor:
    """(H, W, C) uint8 -> (C, H, W) float32 in 0..255."""
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C")).to(torch.float32)


def to_pixels(levels: Tensor) -> np.ndarray:
    """(C, H, W) in 0..255 -> (H, W, C) uint8, rounded."""
    return quantize(levels).to("cpu", torch.uint8).permute(1, 2, 0).contiguous().numpy()


def quantize(levels: Tensor) -> Tensor:
    """Clamp to 0..255 and round to integers, ties up, as MATLAB's uint8()."""
    return torch.floor(levels.clamp(0, 255) + 0.5)


def luma(levels: Tensor) -> Tensor:
    """Y (1, H, W) in 16..235 of three channels; a single channel as it is."""
    return levels if levels.shape[0] == 1 else 255 * rgb_to_y(levels / 255)


def with_chroma(y: Tensor, lr: Tensor) -> Tensor:
    """An RGB image from a Y (1, H, W) and the Cb and Cr of an RGB LR image, upscaled bicubically."""
    chroma = imresize(rgb_to_ycbcr(lr / 255)[1:], (y.shape[-2], y.shape[-1]))
    return 255 * ycbcr_to_rgb(torch.cat([y / 255, chroma.to(y)]))
