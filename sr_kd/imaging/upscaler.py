"""The upscaler: the one way of an image through a network, for upscaling and for measuring."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..data.resize import imresize, resize_pixels
from ..device import pick_device
from ..errors import SrKdError, UsageError
from ..images import Image
from ..memory import is_out_of_memory
from ..networks.base import Color, SRNetwork
from .alpha import bleed_colors
from .array_types import unpack
from .borders import keep_flat
from .color import TensorFunction, upscale_color
from .precision import Choice, choose_precision
from .runner import NetworkRunner, RunPrecision, check_arithmetic
from .runtimes import Runtime
from .tiling import Progress, upscale_tiled

logger = logging.getLogger(__name__)
CACHE_BYTES = 8 * 2**20  # what a tile's widest feature map may always take on a CPU
BATCH_PIXELS = 512 * 512  # small tiles are computed together up to this many pixels, where launches cost
LARGEST_TILE, SMALLEST_TILE = 2048, 64
RADII = 32  # side of a CPU's tile, where that is not too much: its window has (1 + 2 / 32)^2 = 1.13 times its pixels
WIDE_BYTES = 2**27  # what the widest tapped feature map of such a tile may take
CONCURRENT_BYTES = 2**31  # what the tiles of images that are computed at once may take
BICUBIC_RADIUS = 2
WIDE_RESULT = 1024  # side of its result: 256 MB for 64 channels there (CARN x4: 1.2 GiB in all)


class Upscaler:
    """A network, or bicubic interpolation, ready to upscale images.

    Args:
        network: trained; multi-scale networks need `scale`. None: bicubic interpolation.
        scale: the upscaling factor; the network's own if not given, 2 for bicubic.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        tile: side of a tile in LR pixels; None: chosen for the device's cache or free memory; 0: no
            tiles. Tiled and whole results are equal up to rounding.
        precision: "fp32", "fp16", "bf16" (both fall back to fp32 where values overflow) or "fp64"; "auto": the half
            precision that :func:`sr_kd.imaging.precision.choose_precision` finds as good and faster, else fp32.
        tta: x8 self-ensemble: slightly better, eight times slower.
        name: what messages call the model.
        runtime: what runs the network: "torch", or on a CPU "onnxruntime" or "openvino".
        forward: takes the place of the network's forward pass: (N, C, h, w) float32 -> (N, C, h * scale, w * scale).

    Raises:
        UsageError: a scale the network does not serve, an unknown device or precision, a runtime that is missing.
    """

    def __init__(
        self,
        network: SRNetwork | None = None,
        *,
        scale: int | None = None,
        device: str | torch.device = "auto",
        tile: int | None = None,
        precision: RunPrecision | Literal["auto"] = "fp32",
        tta: bool = False,
        name: str | None = None,
        runtime: Runtime = "torch",
        forward: TensorFunction | None = None,
    ) -> None:
        if tile is not None and not (_is_whole(tile) and tile >= 0):
            raise UsageError(f"a tile's side is {tile!r}; give a positive whole number of pixels, or 0 for no tiles")
        if not isinstance(tta, (bool, np.bool_)):
            raise UsageError(f"tta is {tta!r}; give True or False")
        if network is None and scale is not None and not (_is_whole(scale) and scale >= 1):
            raise UsageError(f"bicubic interpolation to scale {scale!r}; give a positive whole number")
        if network is not None and scale is not None:
            network = network.for_scale(scale)
        self.network = network
        self.scale: int = (scale or 2) if network is None else network.scale
        self.name = name or ("bicubic" if network is None else network.type_name)
        self.device = pick_device(device) if isinstance(device, str) else device
        self.tile = tile
        self.choice: Choice | None = None  # of "auto"
        if precision == "auto":
            check_arithmetic("fp32", runtime, self.device)
            self.choice = choose_precision(network, self.device, runtime)
            precision = self.choice.precision
        check_arithmetic(precision, runtime, self.device)
        self._double = precision == "fp64"
        self._runner = None
        if network is not None:
            self._runner = NetworkRunner(network, self.device, precision, tta, runtime, forward)

    @property
    def color(self) -> Color:
        """What the network sees: "y" (luma) or "rgb"."""
        return "rgb" if self.network is None else self.network.color

    @property
    def precision(self) -> RunPrecision:
        """Of the network, after a fall back."""
        return "fp32" if self._runner is None else self._runner.precision

    @property
    def concurrent_images(self) -> int:
        """How many threads may upscale images at the same time, and gain by it: several on a CPU, by torch, if its
        precision need not fall back, as many as fit into 2 GiB with four of the largest feature maps each."""
        if self.device.type != "cpu" or (self._runner is not None and not self._runner.thread_safe):
            return 1
        tile = self.tile or self._automatic_tile()
        return max(1, CONCURRENT_BYTES // self._most_bytes(tile, tile))

    def upscale(self, image: Any, *, size: tuple[int, int] | None = None, progress: Progress | None = None) -> Any:
        """Upscale an image.

        Args:
            image: a NumPy array (H, W) or (H, W, C), C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB,
                alpha), uint8, uint16 or floating point in [0, 1]; a PIL image; a tensor (C, H, W) or
                (1, C, H, W), C = 1 or 3, in [0, 1] or uint8; or an `sr_kd.images.Image`.
            size: (height, width) of the result, reached by an antialiased bicubic resize after the
                network; at most `scale` times the image. Default: exactly `scale` times.
            progress: called with (tiles done, all tiles).

        Returns:
            The upscaled image: same kind, same pixel type, values clamped to its range.

        Raises:
            UsageError: not an image. SrKdError: a size out of reach, or too little memory.
        """
        source, restore = unpack(image)
        if size is not None:
            self.check_reach(source, size)
        return restore(self._upscale(source, size, progress))

    def run_network(self, x: Tensor) -> Tensor:
        """The network alone, for measuring it: neither color handling nor clamping.

        An image is computed in one piece where that fits into half the free memory (on a CPU: into 2 GiB), as the
        last bits of a convolution depend on the size of its input; else in tiles, as in `upscale`.

        Args:
            x: (C, H, W) in [0, 1], float32, in the network's color.

        Returns:
            (C, H * scale, W * scale), float32, on the upscaler's device.

        Raises:
            SrKdError: too little memory, or an output of another size.
        """
        if self._runner is None:
            raise UsageError("bicubic interpolation has no network")
        height, width = x.shape[1:]
        memory = self._memory() // (1 if self.device.type == "cpu" else 2)
        tile = max(height, width) if self._most_bytes(height, width) <= memory else self._automatic_tile()
        sr = self._tiled(self._runner, x.permute(1, 2, 0).cpu().numpy(), tile)
        return torch.from_numpy(sr).permute(2, 0, 1).to(self.device)

    def check_reach(self, image: Image, size: tuple[int, int]) -> None:
        """Refuse a result larger than `scale` times the image with an SrKdError; no size at all with a UsageError."""
        sides = size if isinstance(size, Sequence) else ()
        if len(sides) != 2 or not all(isinstance(side, Integral) and side > 0 for side in sides):
            raise UsageError(f"a size is (height, width) in pixels, such as (1080, 1920); found {size!r}")
        if size[0] > image.height * self.scale or size[1] > image.width * self.scale:
            factor = max(size[0] / image.height, size[1] / image.width)
            raise SrKdError(
                f"{size[1]}x{size[0]} pixels are x{factor:.4g} of {image.width}x{image.height}, and {self.name} "
                f"upscales x{self.scale}: use a larger scale (another model, or -s), or upscale its result once more"
            )

    def _upscale(self, image: Image, size: tuple[int, int] | None, progress: Progress | None) -> Image:
        pixels, alpha = image.pixels, image.alpha
        if alpha is not None:
            pixels = bleed_colors(pixels, alpha)
        if size is None or size[0] > image.height or size[1] > image.width:
            upscaled = self._tiled(self._window, pixels, self._automatic_tile(), progress)
            keep_flat(pixels, upscaled, self._declared_radius)
            pixels = upscaled
            alpha = None if alpha is None else self._upscale_alpha(alpha)
        if size is not None:
            pixels = resize_pixels(pixels, size)
            alpha = None if alpha is None else resize_pixels(alpha[..., None], size)[..., 0]
        return Image(pixels, alpha, image.metadata)

    def _upscale_alpha(self, alpha: np.ndarray) -> np.ndarray:
        if alpha.min() == alpha.max():
            return np.full((alpha.shape[0] * self.scale, alpha.shape[1] * self.scale), alpha[0, 0], alpha.dtype)
        return self._tiled(self._interpolate, alpha[..., None], self._automatic_tile())[..., 0]

    def _window(self, window: Tensor) -> Tensor:
        """(N, 1 or 3, h, w) in [0, 1], float32 or float64 -> (N, same, h * scale, w * scale) in [0, 1]."""
        if self._double:
            window = window.double()
        if self._runner is None:
            return self._interpolate(window)
        return upscale_color(window, self.color, self._runner, self._chroma).clamp(0, 1)

    def _chroma(self, window: Tensor) -> Tensor:
        return imresize(window, (window.shape[2] * self.scale, window.shape[3] * self.scale))

    def _interpolate(self, window: Tensor) -> Tensor:
        """Bicubic, whatever the network, and in [0, 1]: for transparency."""
        return self._chroma(window).clamp(0, 1)

    def _tiled(
        self, upscale: TensorFunction, source: np.ndarray, automatic: int, progress: Progress | None = None
    ) -> np.ndarray:
        """Tile by tile, with tiles of the `automatic` size where none was asked for; once more with half the tile
        where memory runs out."""
        longest = max(source.shape[:2])
        first = tile = min(longest, automatic if self.tile is None else self.tile or longest)
        while True:
            try:
                result = upscale_tiled(
                    upscale,
                    source,
                    self.scale,
                    self._radius if tile < longest else 0,
                    tile,
                    device=self.device,
                    batch=max(1, BATCH_PIXELS // tile**2) if self.device.type != "cpu" else 1,
                    progress=progress,
                )
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if tile <= SMALLEST_TILE:
                    raise SrKdError(f"out of memory on {self.device}, even with tiles of {tile} pixels") from None
            else:
                if tile < first:
                    self.tile = tile
                return result
            tile //= 2
            logger.warning("out of memory on %s: going on with tiles of %d pixels", self.device, tile)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    @property
    def _radius(self) -> int:
        """How many LR pixels to each side one output pixel depends on at most; probed."""
        return BICUBIC_RADIUS if self._runner is None else max(BICUBIC_RADIUS, self._runner.radius)

    @property
    def _declared_radius(self) -> int:
        return BICUBIC_RADIUS if self.network is None else max(BICUBIC_RADIUS, self.network.receptive_radius)

    def _most_bytes(self, height: int, width: int) -> int:
        """What computing so many LR pixels at once takes: four of the largest feature maps."""
        return 4 * height * width * (64 * self.scale**2 if self._runner is None else self._runner.most_bytes_per_pixel)

    def _automatic_tile(self) -> int:
        """What fits the cache (CPU), or half the free memory with several feature maps alive (others)."""
        bytes_per_pixel = 64 * self.scale**2 if self._runner is None else self._runner.bytes_per_pixel
        budget = CACHE_BYTES if self.device.type == "cpu" else self._memory() // 12
        fitting = math.isqrt(budget // bytes_per_pixel)
        # The deeper a network is, the more its margins cost and the less leaving the cache does.
        wide = min(RADII * self._declared_radius, WIDE_RESULT // self.scale, math.isqrt(WIDE_BYTES // bytes_per_pixel))
        return min(LARGEST_TILE, max(SMALLEST_TILE, fitting, wide if self.device.type == "cpu" else 0))

    def _memory(self) -> int:
        """Bytes that may be taken on the device: what is free, or what images that are computed at once share."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        return torch.mps.recommended_max_memory() if self.device.type == "mps" else CONCURRENT_BYTES


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)
