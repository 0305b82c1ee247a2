"""One decoded image, with all that its file says about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

STRIPE_BYTES = 2**19  # what a processor's cache holds


@dataclass(frozen=True)
class Metadata:
    """What a file says about its image, upright.

    Attributes:
        icc: color profile.
        exif: EXIF data, as Pillow has it (it begins with ``Exif``), with orientation 1.
        xmp: XMP packet, with orientation 1.
        iptc: IPTC-IIM records.
        dpi: dots per inch, horizontal and vertical.
        text: PNG's text by keyword; a comment of JPEG and GIF has the keyword "Comment".
        png_color: PNG's other statements about color (gAMA, cHRM, sRGB, cICP, mDCV, cLLI), raw; AVIF's become a cICP.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    png_color: Mapping[bytes, bytes] = field(default_factory=dict)
    xmp: bytes | None = None
    iptc: bytes | None = None


@dataclass(frozen=True)
class Image:
    """One decoded image.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, C = 1 (gray) or 3 (RGB).
        alpha: (H, W) of the same type, straight (colors are not multiplied by it), or None.
        metadata: what the file says about the image.
        notes: what of the file could not be kept, in words.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (RGB), alpha not counted."""
        return int(self.pixels.shape[2])

    @property
    def samples(self) -> int:
        """Channels with alpha: 1 to 4."""
        return self.channels + (self.alpha is not None)

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Of pixels and transparency."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return 2**self.bit_depth - 1

    @property
    def transparent(self) -> bool:
        """Whether any pixel is less than opaque."""
        return self.alpha is not None and bool((self.alpha != self.peak).any())

    def stripes(self) -> Iterator[np.ndarray]:
        """Some rows at a time, from the top: (rows, W, samples), alpha as the last channel."""
        rows = max(1, STRIPE_BYTES * self.height // self.nbytes)
        for top in range(0, self.height, rows):
            part = self.pixels[top : top + rows]
            if self.alpha is not None:
                part = np.concatenate([part, self.alpha[top : top + rows, :, None]], axis=2)
            yield part


class Decoded(NamedTuple):
    """What a file holds, not yet turned upright; the metadata already says that it is.

    Attributes:
        pixels, alpha: as in `Image`.
        orientation: EXIF's number, 1 to 8.
        metadata: made upright.
        notes: what is lost, in words.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    orientation: int
    metadata: Metadata
    notes: list[str]


def to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 as it is; levels of uint16 divided by 257 and rounded.

    >>> to_eight_bits(np.array([0, 128, 129, 65535], np.uint16))
    array([  0,   0,   1, 255], dtype=uint8)
    """
    return pixels if pixels.dtype == np.uint8 else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
