"""A cache of decoded images in one block of memory, so that its size is exact and the heap gets no holes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np


class PixelCache:
    """The latest images put in, as a ring: a new one takes the place of the oldest.

    First in, first out is as good as any rule where images are drawn uniformly.

    Args:
        size: bytes; the memory is used as it fills.
    """

    def __init__(self, size: int) -> None:
        self._ring = np.empty(size, np.uint8)
        self._next = 0
        # Start and shapes. Keeping views would cost little, but that little sits between the decoder's
        # freed blocks and keeps them from being used again: the process would grow to twice the cache.
        self._entries: OrderedDict[int, tuple[int, list[tuple[int, ...]]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: int) -> list[np.ndarray] | None:
        """The arrays put in under a key, or None; valid until the next `put`."""
        if key not in self._entries:
            return None
        start, shapes = self._entries[key]
        views = []
        for shape in shapes:
            end = start + math.prod(shape)
            views.append(self._ring[start:end].reshape(shape))
            start = end
        return views

    def put(self, key: int, arrays: Sequence[np.ndarray]) -> None:
        """Keep copies of uint8 arrays; those larger than the whole cache are not kept."""
        needed = sum(array.nbytes for array in arrays)
        if needed > len(self._ring):
            return
        if self._next + needed > len(self._ring):
            self._drop_oldest(self._next, len(self._ring))
            self._next = 0
        self._drop_oldest(self._next, self._next + needed)
        self._entries[key] = self._next, [array.shape for array in arrays]
        self._next += needed
        for view, array in zip(self.get(key) or [], arrays, strict=True):
            view[...] = array

    def _drop_oldest(self, start: int, end: int) -> None:
        """Forget the entries that begin in this part of the ring; they are the oldest."""
        while self._entries:
            key, (place, _) = next(iter(self._entries.items()))
            if not start <= place < end:
                return
            del self._entries[key]
