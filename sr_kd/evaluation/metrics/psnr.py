"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

from torch import Tensor

from .base import PEAK, Metric, check_pair


def psnr(image: Tensor, reference: Tensor, peak: float = PEAK) -> float:
    """Peak signal-to-noise ratio in dB: ``10 log10(peak^2 / mean squared error)``.

    Args:
        image, reference: floating point, of one shape, values in 0..peak; the error is averaged over
            everything, channels included.
        peak: the largest possible value.

    Returns:
        dB; ``inf`` for identical images.

    Raises:
        UsageError: the shapes differ, or the images are not floating point.

    >>> import torch
    >>> round(psnr(torch.full((1, 4, 4), 10.0), torch.zeros(1, 4, 4)), 3)
    28.131
    """
    check_pair(image, reference)
    error = float((image - reference).square().mean())
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


PSNR = Metric("PSNR", psnr, rule="peak 255", unit="dB", decimals=3)
