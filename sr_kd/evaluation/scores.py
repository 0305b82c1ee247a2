"""What a measurement gives: scores of images and of sets, and how shares of a set are put together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True)
class ImageScore:
    """PSNR in dB (``inf`` for identical images) and SSIM of one image; None where not asked for."""

    name: str
    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class SetScore:
    """The scores of a set's images, in the set's order, under one protocol.

    `psnr` and `ssim` are means over the images. Images equal to their HR have an infinite PSNR and
    would make the mean infinite: they are left out of it and counted in `identical`.
    """

    name: str
    scale: int
    protocol: str
    images: tuple[ImageScore, ...]

    @property
    def psnr(self) -> float | None:
        """Mean PSNR in dB over the images that differ from HR; ``inf`` if none does, None if not measured."""
        values = [image.psnr for image in self.images if image.psnr is not None]
        finite = [value for value in values if math.isfinite(value)]
        if not values:
            return None
        return sum(finite) / len(finite) if finite else math.inf

    @property
    def ssim(self) -> float | None:
        """Mean SSIM; None if not measured."""
        values = [image.ssim for image in self.images if image.ssim is not None]
        return sum(values) / len(values) if values else None

    @property
    def identical(self) -> int:
        """How many images equal their HR and are therefore not in the mean PSNR."""
        return sum(image.psnr == math.inf for image in self.images)


def merge_scores(shares: Sequence[SetScore]) -> SetScore:
    """The whole set's score from the shares of all ranks, in rank order: exactly what one process gives.

    Rank r of n measured the images r, r + n, r + 2n...
    """
    rounds = zip_longest(*(share.images for share in shares))
    images = tuple(image for images in rounds for image in images if image is not None)
    first = shares[0]
    return SetScore(first.name, first.scale, first.protocol, images)


def average_scores(runs: Sequence[SetScore]) -> SetScore:
    """Each image's mean over several runs (seeds) of one model, measured on the same set under one protocol."""

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    images = tuple(
        ImageScore(same[0].name, mean(score.psnr for score in same), mean(score.ssim for score in same))
        for same in zip(*(run.images for run in runs), strict=True)
    )
    return SetScore(runs[0].name, runs[0].scale, runs[0].protocol, images)
