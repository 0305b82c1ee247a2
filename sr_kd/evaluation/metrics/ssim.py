"""Structural similarity, in the precision and on the device of its arguments."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from ...errors import UsageError
from .base import PEAK, Metric, check_pair

WINDOW = 11  # pixels: the side of SSIM's Gaussian window
_SIGMA = 1.5


def ssim(image: Tensor, reference: Tensor, peak: float = PEAK) -> float:
    """Structural similarity (Wang et al. 2004), as the authors' MATLAB code and BasicSR compute it.

    An 11x11 Gaussian window (sigma 1.5) at the positions where it fits, K1 = 0.01, K2 = 0.03,
    population variances, averaged over positions and channels. Accurate to about 1e-6 in float32.

    Args:
        image, reference: (C, H, W), floating point, values in 0..peak, H and W at least 11.
        peak: the largest possible value.

    Returns:
        At most 1, and 1 exactly for identical images.

    Raises:
        UsageError: the shapes differ, the images are not floating point or smaller than the window.

    >>> import torch
    >>> image = torch.arange(256.0).view(1, 16, 16)
    >>> ssim(image, image)
    1.0
    """
    luminance, contrast = similarity(image, reference, peak)
    return float(luminance[0].mul_(contrast[0]).div_(luminance[1].mul_(contrast[1])).mean())


Fraction = tuple[Tensor, Tensor]  # numerator and denominator


def similarity(image: Tensor, reference: Tensor, peak: float = PEAK) -> tuple[Fraction, Fraction]:
    """SSIM's two factors at every position of the window, each as a fraction: luminance; contrast and structure.

    Arguments and errors as in `ssim`; four maps (C, H - 10, W - 10).
    """
    check_pair(image, reference)
    if image.ndim != 3 or min(image.shape[-2:]) < WINDOW:
        raise UsageError(f"SSIM needs (C, H, W) of at least {WINDOW}x{WINDOW} pixels; got {tuple(image.shape)}")
    # The averages of x + y and x - y take fewer passes than those of x and y: 4 xy = (x + y)^2 - (x - y)^2 and
    # 2 (x^2 + y^2) = (x + y)^2 + (x - y)^2, for means and for variances. Around zero the variances keep more
    # digits; the luminance term gets the shift back.
    maps = image.new_empty(4, *image.shape)
    torch.add(image, reference, out=maps[0]).sub_(peak)
    torch.sub(image, reference, out=maps[1])
    torch.mul(maps[:2], maps[:2], out=maps[2:])
    total, difference, total_variance, difference_variance = _blur(maps)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    total_variance.addcmul_(total, total, value=-1).add_(2 * c2)
    difference_variance.addcmul_(difference, difference, value=-1)
    total.add_(peak).square_().add_(2 * c1)
    difference.square_()
    return (
        (total - difference, total.add_(difference)),
        (total_variance - difference_variance, total_variance.add_(difference_variance)),
    )


def _blur(images: Tensor) -> Tensor:
    """SSIM's Gaussian window over the last two axes, at the positions where it fits.

    OpenCV's separable filter on the CPU. Elsewhere eleven shifted sums per axis: for a handful of
    channels this is many times faster than a convolution, which is made for many.
    """
    half = WINDOW // 2
    gaussian = cv2.getGaussianKernel(WINDOW, _SIGMA)
    if images.device.type == "cpu":
        blurred = torch.empty_like(images)
        for plane, result in zip(images.flatten(0, -3).numpy(), blurred.flatten(0, -3).numpy(), strict=True):
            cv2.sepFilter2D(plane, -1, gaussian, gaussian, dst=result)
        return blurred[..., half:-half, half:-half]
    weights = gaussian.flatten().tolist()
    for axis in (-2, -1):
        length = images.shape[axis] - WINDOW + 1
        summed = images.narrow(axis, half, length) * weights[half]
        for tap in range(half):
            summed.add_(images.narrow(axis, tap, length), alpha=weights[tap])
            summed.add_(images.narrow(axis, WINDOW - 1 - tap, length), alpha=weights[tap])
        images = summed
    return images


SSIM = Metric("SSIM", ssim, rule="11x11 Gaussian", smallest=WINDOW)
