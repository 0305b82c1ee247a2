"""Deep image structure and texture similarity, by torchmetrics and torchvision."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from .base import PEAK, Metric, batch_of, check_pair
from .optional import backbone_file, optional_module

BACKBONE = "vgg16-397923af.pth"
_MODULE = "torchmetrics.functional.image.dists"


def dists(image: Tensor, reference: Tensor) -> float:
    """DISTS (Ding, Ma, Wang, Simoncelli, IEEE TPAMI 2020), https://arxiv.org/abs/2004.07728

    Args:
        image, reference: (3, H, W), floating point, levels in 0..255, H and W at least 32; the authors shrink
            larger images to a shorter side of 256 first, which is not done here.

    Returns:
        0 for identical images; less is better.

    Raises:
        UsageError: the images differ in shape, a package or the backbone's weights are missing.
    """
    check_pair(image, reference)
    network = _network().to(image.device)
    with torch.no_grad():
        return float(network(*(batch_of(each, torch.float32) / PEAK for each in (image, reference))))


@cache
def _network() -> Any:
    """The backbone with the authors' weights of structure and texture, which torchmetrics ships."""
    _check()
    return optional_module(_MODULE, "dists", "perceptual").DISTSNetwork().eval()


def _check() -> None:
    optional_module("torchvision", "dists", "perceptual")
    optional_module(_MODULE, "dists", "perceptual")
    backbone_file(BACKBONE, "dists")


DISTS = Metric("DISTS", dists, rule="VGG-16", higher_is_better=False, needs_rgb=True, smallest=32, check=_check)
