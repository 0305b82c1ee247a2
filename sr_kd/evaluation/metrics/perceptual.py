"""LPIPS and DISTS: distances between what trained classifiers see, by torchmetrics and torchvision."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from .base import PEAK, Metric, batch_of, check_pair
from .optional import backbone_file, optional_module

ALEXNET, VGG = "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth"


def lpips(image: Tensor, reference: Tensor) -> float:
    """LPIPS v0.1 with AlexNet (Zhang et al., CVPR 2018), https://arxiv.org/abs/1801.03924

    Args:
        image, reference: (3, H, W), floating point, levels in 0..255, H and W at least 63.

    Returns:
        0 for identical images; less is better.

    Raises:
        UsageError: the images differ in shape, a package or the backbone's weights are missing.
    """
    return _distance(lpips_network(), image, reference, normalize=True)


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
    return _distance(dists_network(), image, reference)


@cache
def lpips_network() -> Any:
    """AlexNet with the authors' linear layers, which torchmetrics ships."""
    return _checked("lpips").LearnedPerceptualImagePatchSimilarity(net_type="alex").net


@cache
def dists_network() -> Any:
    """VGG-16 with the authors' weights of structure and texture, which torchmetrics ships."""
    return _checked("dists").DISTSNetwork().eval()


def _checked(metric: str) -> Any:
    """The module of torchmetrics, where all that it needs is there."""
    module, backbone = {
        "lpips": ("torchmetrics.image.lpip", ALEXNET),
        "dists": ("torchmetrics.functional.image.dists", VGG),
    }[metric]
    optional_module("torchvision", metric, "perceptual")
    found = optional_module(module, metric, "perceptual")
    backbone_file(backbone, metric)
    return found


def _distance(network: Any, image: Tensor, reference: Tensor, **options: Any) -> float:
    check_pair(image, reference)
    with torch.no_grad():
        one, other = (batch_of(each, torch.float32) / PEAK for each in (image, reference))
        return float(network.to(image.device)(one, other, **options))


_distance_metric = partial(Metric, higher_is_better=False, needs_rgb=True)
LPIPS = _distance_metric("LPIPS", lpips, "AlexNet", smallest=63, check=partial(_checked, "lpips"))
DISTS = _distance_metric("DISTS", dists, "VGG-16", smallest=32, check=partial(_checked, "dists"))
