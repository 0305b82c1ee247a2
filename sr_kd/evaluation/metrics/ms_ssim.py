"""Multi-scale structural similarity."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .base import Metric
from .ssim import WINDOW, similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(image: Tensor, reference: Tensor) -> float:
    """MS-SSIM (Wang, Simoncelli, Bovik, Asilomar 2003): contrast and structure at five scales, luminance at the last.

    https://ece.uwaterloo.ca/~z70wang/publications/msssim.pdf. The windows are placed where they fit at every scale, as
    the authors do; torchmetrics reflects the border at the last one, which differs by 5e-5.

    Args:
        image, reference: (C, H, W), floating point, levels in 0..255, H and W at least 176. Every scale is
            averaged over the channels.

    Returns:
        At most 1; 0 where the contrast of a scale is reversed.

    Raises:
        UsageError: the images differ in shape, or are smaller.
    """
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            image, reference = (functional.avg_pool2d(each, 2) for each in (image, reference))
        luminance, contrast = similarity(image, reference)
        mean = contrast[0] / contrast[1]
        if scale == len(WEIGHTS) - 1:
            mean = mean * luminance[0] / luminance[1]
        result *= max(float(mean.mean()), 0.0) ** weight
    return result


MS_SSIM = Metric("MS-SSIM", ms_ssim, smallest=WINDOW * 2 ** (len(WEIGHTS) - 1))
