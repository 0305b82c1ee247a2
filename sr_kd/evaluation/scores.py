"""What a measurement gives: scores of images and of sets, and how shares of a set are put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest


@dataclass(frozen=True)
class ImageScore:
    """One image's `values` by metric name; a value may be infinite (PSNR of identical images) or NaN."""

    name: str
    values: Mapping[str, float]

    @property
    def psnr(self) -> float | None:
        """In dB; None where it was not measured."""
        return self.values.get("psnr")

    @property
    def ssim(self) -> float | None:
        """None where it was not measured."""
        return self.values.get("ssim")


@dataclass(frozen=True)
class SetScore:
    """The scores of a set's images, in the set's order, under one protocol."""

    name: str
    scale: int
    protocol: str
    images: tuple[ImageScore, ...]
    lr_from_files: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what was measured, in the order asked for."""
        return tuple(self.images[0].values) if self.images else ()

    @property
    def means(self) -> dict[str, float]:
        """The mean of every metric."""
        found = {metric: self.mean(metric) for metric in self.metrics}
        return {metric: value for metric, value in found.items() if value is not None}

    def mean(self, metric: str) -> float | None:
        """Mean over the images whose value is finite; the first other value if none is, None if not measured.

        An image equal to its HR has an infinite PSNR, which would make the mean infinite: see `left_out`.
        """
        values = [image.values[metric] for image in self.images if metric in image.values]
        finite = [value for value in values if math.isfinite(value)]
        return sum(finite) / len(finite) if finite else next(iter(values), None)

    def left_out(self, metric: str) -> int:
        """How many images are not in the mean, because their value is not finite."""
        return sum(not math.isfinite(image.values.get(metric, 0.0)) for image in self.images)

    @property
    def psnr(self) -> float | None:
        """Mean PSNR in dB; None where it was not measured."""
        return self.mean("psnr")

    @property
    def ssim(self) -> float | None:
        """Mean SSIM; None where it was not measured."""
        return self.mean("ssim")


def merge_scores(shares: Sequence[SetScore]) -> SetScore:
    """The whole set's score from the shares of all ranks, in rank order: exactly what one process gives.

    Rank r of n measured the images r, r + n, r + 2n...
    """
    rounds = zip_longest(*(share.images for share in shares))
    images = tuple(image for images in rounds for image in images if image is not None)
    return replace(shares[0], images=images)
