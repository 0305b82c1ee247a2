"""Cutting patches out of images that are decoded when needed; the latest ones stay in a bounded cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cache import PixelCache
from .image_set import ImageSet, with_channels
from .resize import make_lr

_MARGIN = 4  # LR pixels around a patch that its LR depends on: the antialiased kernel reaches 2.5


class PatchReader:
    """Patches of a set.

    Args:
        images: the set.
        patch: side of the LR patch.
        cache_bytes: of decoded images kept.
    """

    def __init__(self, images: ImageSet, patch: int, cache_bytes: float) -> None:
        self._images = images
        self._patch = patch
        self._cache = PixelCache(int(cache_bytes))

    def cut(self, index: int, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
        """LR (patch, patch, C) and HR patch of one image, as the set's pairs hold them; C is the set's.

        Raises:
            SrKdError: an image that cannot be read.
        """
        hr, *lr = self._decoded(index)
        scale, side = self._images.scale, self._patch
        small = lr[0][top : top + side, left : left + side] if lr else lr_region(hr, top, left, side, scale)
        large = hr[top * scale : (top + side) * scale, left * scale : (left + side) * scale]
        channels = self._images.channels
        return with_channels(small, channels), with_channels(large, channels)

    def _decoded(self, index: int) -> Sequence[np.ndarray]:
        """HR alone where LR is made from it, else HR and LR."""
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        if self._images.lr is None:
            decoded = [self._images.read_hr(index)]
        else:
            pair = self._images.read(index)
            decoded = [pair.hr, pair.lr]
        self._cache.put(index, decoded)
        return decoded


def lr_region(hr: np.ndarray, top: int, left: int, side: int, scale: int) -> np.ndarray:
    """A square of the LR image of `hr`, without making all of it; equal to the whole's to the bit.

    Args:
        hr: (H, W, C), sides multiples of `scale`.
        top, left, side: the square in LR pixels.
    """
    above, before = max(top - _MARGIN, 0), max(left - _MARGIN, 0)
    end = side + _MARGIN
    seen = hr[above * scale : (top + end) * scale, before * scale : (left + end) * scale]
    return make_lr(seen, scale)[top - above :, left - before :][:side, :side]
