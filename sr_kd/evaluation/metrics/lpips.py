"""Learned perceptual image patch similarity, by torchmetrics and torchvision."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from .base import PEAK, Metric, batch_of, check_pair
from .optional import backbone_file, optional_module

BACKBONE = "alexnet-owt-7be5be79.pth"


def lpips(image: Tensor, reference: Tensor) -> float:
    """LPIPS v0.1 with AlexNet (Zhang et al., CVPR 2018), https://arxiv.org/abs/1801.03924

    Args:
        image, reference: (3, H, W), floating point, levels in 0..255, H and W at least 63.

    Returns:
        0 for identical images; less is better.

    Raises:
        UsageError: the images differ in shape, a package or the backbone's weights are missing.
    """
    check_pair(image, reference)
    network = _network().to(image.device)
    with torch.no_grad():
        one, other = (batch_of(each, torch.float32) / PEAK for each in (image, reference))
        return float(network(one, other, normalize=True))


@cache
def _network() -> Any:
    """The backbone with the authors' linear layers, which torchmetrics ships."""
    _check()
    module = optional_module("torchmetrics.image.lpip", "lpips", "perceptual")
    return module.LearnedPerceptualImagePatchSimilarity(net_type="alex").net


def _check() -> None:
    optional_module("torchvision", "lpips", "perceptual")
    optional_module("torchmetrics.image.lpip", "lpips", "perceptual")
    backbone_file(BACKBONE, "lpips")


LPIPS = Metric("LPIPS", lpips, rule="AlexNet", higher_is_better=False, needs_rgb=True, smallest=63, check=_check)
