"""The images of a set, read on demand as pairs of HR and LR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import SrKdError, UsageError
from ..images import Image, to_eight_bits
from .resize import make_lr
from .stored import ImageFile, StoredImage


@dataclass(frozen=True)
class Pair:
    """One image at both sizes: `hr` (H, W, C) and `lr` (H / scale, W / scale, C), uint8, C = 1 or 3."""

    name: str
    hr: np.ndarray
    lr: np.ndarray


class ImageSet:
    """The images of a set, read on demand; opened by :func:`open_set`.

    Every header is read when the set is opened, so that a set that cannot be used is refused before
    any work is done. 16-bit images are reduced to 8 bit, and alpha is dropped.

    Attributes:
        name: how tables and logs call the set.
        scale: size of HR over size of LR.
        names: one name per image, unique.
        hr: the HR images.
        lr: the LR images, or None: they are made from HR (MATLAB's bicubic).
        headers: size and channels of the HR images, before cropping.
    """

    def __init__(
        self,
        name: str,
        scale: int,
        names: Sequence[str],
        hr: Sequence[StoredImage],
        lr: Sequence[StoredImage] | None,
    ) -> None:
        self.name = name
        self.scale = scale
        self.names = list(names)
        self.hr = list(hr)
        self.lr = None if lr is None else list(lr)
        self.headers = [image.header() for image in self.hr]
        self._lr_headers = None if self.lr is None else [image.header() for image in self.lr]
        for index in range(len(self)):
            self._check_size(index)

    def __len__(self) -> int:
        return len(self.hr)

    def __str__(self) -> str:
        lr = "made from HR" if self.lr is None else "from files"
        return f"{self.name}: {len(self)} images, LR x{self.scale} {lr}"

    def only(self, index: int) -> ImageSet:
        """The set of one of the images."""
        lr = None if self.lr is None else [self.lr[index]]
        return ImageSet(self.name, self.scale, [self.names[index]], [self.hr[index]], lr)

    def listing(self) -> list[str]:
        """A line for every image, in order: where LR is from; name, size, bytes of HR and LR; equal for equal sets."""
        lr = "LR made from HR" if self.lr is None else "LR from files"
        lines = [f"{self.name}: {len(self)} images, {lr}"]
        for index, (name, header) in enumerate(zip(self.names, self.headers, strict=True)):
            stored = [self.hr[index], *([] if self.lr is None else [self.lr[index]])]
            sizes = [f"{image.path.stat().st_size} bytes" for image in stored if isinstance(image, ImageFile)]
            lines.append(" ".join([name, f"{header.width}x{header.height}", *sizes]))
        return lines

    def decode(self, index: int) -> None:
        """Read the files of one image, and throw it away. Raises SrKdError for one that cannot be decoded."""
        self.hr[index].read()
        if self.lr is not None:
            self.lr[index].read()

    @cached_property
    def lr_sizes(self) -> np.ndarray:
        """(images, 2) int64: height and width of every LR image."""
        if self._lr_headers is not None:
            return np.array([(header.height, header.width) for header in self._lr_headers])
        return np.array([(header.height // self.scale, header.width // self.scale) for header in self.headers])

    @cached_property
    def channels(self) -> int:
        """1 if every image of the set is gray, else 3."""
        return max(self.pair_channels(index) for index in range(len(self)))

    def pair_channels(self, index: int) -> int:
        """1 if both sizes of an image are gray, else 3."""
        lr = [] if self._lr_headers is None else [self._lr_headers[index].channels]
        return max([self.headers[index].channels, *lr])

    def read_hr(self, index: int) -> np.ndarray:
        """The HR image (H, W, C) uint8, cropped at the bottom and right to LR's size times the scale."""
        height, width = self.lr_sizes[index] * self.scale
        pixels = eight_bit(self.hr[index].read())
        if pixels.shape[0] < height or pixels.shape[1] < width:
            raise SrKdError(f"{self.hr[index]} is smaller than its header says")
        return pixels[:height, :width]

    def read(self, index: int) -> Pair:
        """Both sizes of one image, with the same number of channels.

        Raises:
            SrKdError: an image that cannot be decoded.
        """
        hr = self.read_hr(index)
        if self.lr is None:
            return Pair(self.names[index], hr, make_lr(hr, self.scale))
        lr = eight_bit(self.lr[index].read())
        if lr.shape[:2] != tuple(self.lr_sizes[index]):
            raise SrKdError(f"{self.lr[index]} has another size than its header says")
        channels = max(hr.shape[2], lr.shape[2])
        return Pair(self.names[index], with_channels(hr, channels), with_channels(lr, channels))

    def _check_size(self, index: int) -> None:
        header, scale = self.headers[index], self.scale
        size = f"{self.hr[index]} ({header.width}x{header.height})"
        if min(header.height, header.width) < scale:
            raise UsageError(f"{size} is too small for scale {scale}")
        if self._lr_headers is None or self.lr is None:
            return
        lr = self._lr_headers[index]
        spare = (header.height - lr.height * scale, header.width - lr.width * scale)
        if not all(0 <= rest < scale for rest in spare):
            raise UsageError(
                f"{self.lr[index]} ({lr.width}x{lr.height}) is not {size} at 1/{scale} of its size: "
                f"expected {header.width // scale}x{header.height // scale}"
            )


def eight_bit(image: Image) -> np.ndarray:
    """The pixels as writable uint8; 16-bit levels are divided by 257 and rounded."""
    return np.require(to_eight_bits(image.pixels), requirements=["C", "W"])


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) with `channels` channels: gray is replicated."""
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)
