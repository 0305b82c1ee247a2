"""The upscaler: any image in, the same kind of image out, upscaled."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from ..data.resize import resize_pixels
from ..device import pick_device
from ..errors import SrKdError, UsageError
from ..images import Image
from ..networks.base import Color, SRNetwork
from .alpha import bleed_colors
from .array_types import unpack
from .borders import keep_flat
from .runtimes import Runtime
from .tiling import Progress, UpscaleWindow, upscale_tiled
from .window import Precision, WindowUpscaler

logger = logging.getLogger(__name__)
CACHE_BYTES = 8 * 2**20  # what a tile's widest feature map may always take on a CPU
BATCH_PIXELS = 512 * 512  # small tiles are computed together up to this many pixels, where launches cost
LARGEST_TILE, SMALLEST_TILE = 2048, 64
RADII = 32  # side of a CPU's tile, where that is not too much: its window has (1 + 2 / 32)^2 = 1.13 times its pixels
WIDE_BYTES = 2**27  # what the widest tapped feature map of such a tile may take
CONCURRENT_BYTES = 2**31  # what the tiles of images that are computed at once may take
WIDE_RESULT = 1024  # side of its result: 256 MB for 64 channels there (CARN x4: 1.2 GiB in all)


class Upscaler:
    """A network, or bicubic interpolation, ready to upscale images.

    Args:
        network: trained; multi-scale networks need `scale`. None: bicubic interpolation.
        scale: the upscaling factor; the network's own if not given, 2 for bicubic.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        tile: side of a tile in LR pixels; None: chosen for the device's cache or free memory; 0: no
            tiles. Tiled and whole results are equal up to rounding.
        precision: "fp32", "fp16", "bf16" (both fall back to fp32 where values overflow) or "fp64".
        tta: x8 self-ensemble: slightly better, eight times slower.
        name: what messages call the model.
        runtime: what runs the network: "torch", or on a CPU "onnxruntime" or "openvino".

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
        precision: Precision = "fp32",
        tta: bool = False,
        name: str | None = None,
        runtime: Runtime = "torch",
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
        self._window_upscaler = WindowUpscaler(network, self.scale, self.device, precision, tta, runtime)

    @property
    def color(self) -> Color:
        """What the network sees: "y" (luma) or "rgb"."""
        return "rgb" if self.network is None else self.network.color

    @property
    def concurrent_images(self) -> int:
        """How many threads may upscale images at the same time, and gain by it: several on a CPU, by torch, if its
        precision need not fall back, as many as fit into 2 GiB with four of the largest feature maps each."""
        if self.device.type != "cpu" or not self._window_upscaler.thread_safe:
            return 1
        tile = self.tile or self._automatic_tile()
        return max(1, CONCURRENT_BYTES // (4 * tile**2 * self._window_upscaler.most_bytes_per_pixel))

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
            upscaled = self._upscale_pixels(self._window_upscaler, pixels, progress)
            keep_flat(pixels, upscaled, self._window_upscaler.radius)
            pixels = upscaled
            alpha = None if alpha is None else self._upscale_alpha(alpha)
        if size is not None:
            pixels = resize_pixels(pixels, size)
            alpha = None if alpha is None else resize_pixels(alpha[..., None], size)[..., 0]
        return Image(pixels, alpha, image.metadata)

    def _upscale_alpha(self, alpha: np.ndarray) -> np.ndarray:
        if alpha.min() == alpha.max():
            return np.full((alpha.shape[0] * self.scale, alpha.shape[1] * self.scale), alpha[0, 0], alpha.dtype)
        return self._upscale_pixels(self._window_upscaler.interpolate, alpha[..., None], None)[..., 0]

    def _upscale_pixels(self, upscale: UpscaleWindow, source: np.ndarray, progress: Progress | None) -> np.ndarray:
        """Tile by tile; once more with half the tile where memory runs out."""
        longest = max(source.shape[:2])
        tile = min(longest, self._automatic_tile() if self.tile is None else self.tile or longest)
        while True:
            try:
                return upscale_tiled(
                    upscale,
                    source,
                    self.scale,
                    self._window_upscaler.radius,
                    tile,
                    device=self.device,
                    batch=max(1, BATCH_PIXELS // tile**2) if self.device.type != "cpu" else 1,
                    progress=progress,
                )
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if tile <= SMALLEST_TILE:
                    raise SrKdError(f"out of memory on {self.device}, even with tiles of {tile} pixels") from None
            tile = self.tile = tile // 2
            logger.warning("out of memory on %s: going on with tiles of %d pixels", self.device, tile)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _automatic_tile(self) -> int:
        """What fits the cache (CPU), or half the free memory with several feature maps alive (others)."""
        budget = CACHE_BYTES
        if self.device.type == "cuda":
            budget = torch.cuda.mem_get_info(self.device)[0] // 12
        elif self.device.type == "mps":
            budget = torch.mps.recommended_max_memory() // 12
        fitting = math.isqrt(budget // self._window_upscaler.bytes_per_pixel)
        # The deeper a network is, the more its margins cost and the less leaving the cache does.
        room = math.isqrt(WIDE_BYTES // self._window_upscaler.bytes_per_pixel)
        wide = min(RADII * self._window_upscaler.radius, WIDE_RESULT // self.scale, room)
        return min(LARGEST_TILE, max(SMALLEST_TILE, fitting, wide if self.device.type == "cpu" else 0))


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory"))
