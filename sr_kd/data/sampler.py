"""Which patches a batch consists of: a pure function of seed, stream and iteration.

Philox is a counter-based generator: the key holds the seed and the stream's name, the counter the
iteration and the sample's place in the batch. So nothing is stored, and any resume, number of
processes or number of workers sees the same samples. The raw 64-bit words are used, because NumPy
keeps those stable between its versions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np

from ..errors import UsageError

Share = tuple[int, int]  # this process, from 0 on, and the number of processes
ALONE: Share = (0, 1)
_WORDS = 4  # words of one Philox block: image, top, left, orientation


@dataclass(frozen=True)
class Draw:
    """Places and orientations of N patches: int64 arrays (N,), positions in LR pixels, flips as bool."""

    image: np.ndarray
    top: np.ndarray
    left: np.ndarray
    hflip: np.ndarray
    vflip: np.ndarray
    transpose: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def share(self, rank: int, world_size: int) -> Draw:
        """The consecutive part of this draw that one of `world_size` processes takes."""
        part = slice(len(self) * rank // world_size, len(self) * (rank + 1) // world_size)
        return Draw(*(getattr(self, field.name)[part] for field in fields(self)))


class PatchSampler:
    """Draws patches: images uniformly, then the place uniformly, then the orientation.

    Args:
        lr_sizes: (images, 2), height and width of the LR images.
        patch: side of the square LR patch.
        batch_size: patches per iteration, over all processes.
        hflip: mirror half of the patches.
        rotate: flip vertically and transpose, each with probability 1/2 (BasicSR's `use_rot`).
        seed: any integer.
        stream: a name; different streams of one seed are independent.
        share: this process and how many there are: every one draws its consecutive part of the batch.
        fixed: so many batches, the same for every seed and stream, come in an order that these decide; 0: no limit.

    Raises:
        UsageError: a patch larger than an image (`patches.check_patch_size` names it).

    Attributes:
        patch, batch_size: as given.
    """

    def __init__(
        self,
        lr_sizes: np.ndarray,
        patch: int,
        batch_size: int,
        *,
        hflip: bool = True,
        rotate: bool = True,
        seed: int,
        stream: str,
        share: Share = ALONE,
        fixed: int = 0,
    ) -> None:
        places = lr_sizes.astype(np.int64) - patch + 1
        if batch_size < 1 or patch < 1 or not len(places) or places.min() < 1:
            raise UsageError(f"no {patch}x{patch} LR patch fits in every image, or the batch or the set is empty")
        self._places = places.astype(np.uint64)
        self.patch, self.batch_size = patch, batch_size
        self._hflip = hflip
        self._rotate = rotate
        self._seed, self._stream, self._share = seed, stream, share
        self._fixed, self._epoch, self._order = fixed, -1, np.empty(0, np.int64)

    def origin(self, iteration: int) -> tuple[int, str, int]:
        """(seed, stream, iteration) that the batch of an iteration is a function of."""
        if not self._fixed:
            return self._seed, self._stream, iteration
        epoch, place = divmod(iteration, self._fixed)
        if epoch != self._epoch:
            words = _generator(self._seed, self._stream, epoch).random_raw(self._fixed)
            self._epoch, self._order = epoch, words.argsort(kind="stable")
        return 0, "fixed", int(self._order[place])

    def draw(self, iteration: int) -> Draw:
        """This process's part of the batch of one iteration."""
        words = (
            _generator(*self.origin(iteration)).random_raw(self.batch_size * _WORDS).reshape(self.batch_size, _WORDS)
        )
        image = _below(words[:, 0], np.uint64(len(self._places))).astype(np.int64)
        height, width = self._places[image].T
        bits = words[:, 3, None] >> np.uint64(61) >> np.arange(3, dtype=np.uint64) & np.uint64(1)
        hflip, vflip, transpose = bits.astype(bool).T & np.array([[self._hflip], [self._rotate], [self._rotate]])
        whole = Draw(
            image,
            _below(words[:, 1], height).astype(np.int64),
            _below(words[:, 2], width).astype(np.int64),
            hflip,
            vflip,
            transpose,
        )
        return whole.share(*self._share)


def _generator(seed: int, stream: str, iteration: int) -> np.random.Philox:
    # The lowest counter word counts the samples, the next one the iterations.
    return np.random.Philox(counter=np.array([0, iteration, 0, 0], np.uint64), key=key_of(seed, stream))


def key_of(seed: int, stream: str) -> np.ndarray:
    """Philox's key of a stream: 2 words."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest()
    return np.frombuffer(digest, "<u8").astype(np.uint64)


def _below(words: np.ndarray, bound: np.ndarray | np.uint64) -> np.ndarray:
    """Integers in [0, bound) from 64 random bits; the bias is below bound / 2**32."""
    return (words >> np.uint64(32)) * bound >> np.uint64(32)
