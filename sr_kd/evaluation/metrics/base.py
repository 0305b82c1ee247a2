"""What a metric is: a number for one image, and what people must know to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import UsageError

PEAK = 255.0


@dataclass(frozen=True)
class Metric:
    """One way to judge an image.

    Attributes:
        title: in tables.
        measure: (image, HR) -> number, or (image) -> number where it `needs_hr` not. Images are (C, H, W),
            C = 1 or 3, levels in 0..255, float32, on any device; it is called from several threads. A result
            that is not finite is left out of means, and counted below the table.
        rule: what distinguishes it from others of its title, for the note below a table: "peak 255".
        unit: "dB", or nothing.
        decimals: shown in tables.
        higher_is_better: whether a larger value is a better image.
        needs_hr: whether it compares the image with HR.
        needs_rgb: it knows three channels only (gray images are shown to it in three).
        smallest: the side in pixels that an image must have at least.
        check: raises UsageError where an optional package or a weights file is missing, and says what to do.
    """

    title: str
    measure: Callable[..., float]
    rule: str = ""
    unit: str = ""
    decimals: int = 4
    higher_is_better: bool = True
    needs_hr: bool = True
    needs_rgb: bool = False
    smallest: int = 1
    check: Callable[[], object] = lambda: None

    def __call__(self, image: Tensor, hr: Tensor) -> float:
        """The number of one image; `hr` is not looked at where the metric does not need it."""
        images = (image, hr) if self.needs_hr else (image,)
        return self.measure(*(each.expand(3, -1, -1) if self.needs_rgb else each for each in images))

    @property
    def description(self) -> str:
        """The title with what a reader must know: "PSNR (dB, peak 255)"."""
        facts = {"no HR": not self.needs_hr, "less is better": not self.higher_is_better}
        known = ", ".join(filter(None, [self.unit, self.rule, *(fact for fact, holds in facts.items() if holds)]))
        return f"{self.title} ({known})" if known else self.title


def check_pair(image: Tensor, reference: Tensor) -> None:
    """Refuse images that cannot be compared.

    Raises:
        UsageError: the shapes differ, or the images are not floating point.
    """
    if image.shape != reference.shape:
        raise UsageError(f"images of different sizes: {tuple(image.shape)} and {tuple(reference.shape)}")
    if not (image.is_floating_point() and reference.is_floating_point()):
        raise UsageError(f"metrics need floating-point images; got {image.dtype} and {reference.dtype}")


def batch_of(image: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """(C, H, W) -> (1, C, H, W) in the precision that a library is to work in."""
    return image.to(torch.float32 if image.device.type == "mps" else dtype).unsqueeze(0)
