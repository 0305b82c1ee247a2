"""Measuring a network on a set of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError, unknown_name
from ..networks.base import SRNetwork
from ..progress import progress_bar
from .metrics import WINDOW, psnr, ssim
from .protocols import LevelUpscaler, Protocol, find_protocol, to_levels, to_pixels, with_chroma
from .scores import ImageScore, SetScore, merge_scores
from .threads import in_threads

__all__ = ["ImageScore", "SetScore", "merge_scores", "score_network"]

METRICS = ("psnr", "ssim")


@dataclass(frozen=True)
class UpscaledImage:
    """One image of a set, upscaled: (C, H, W) in 8-bit levels, before any cropping.

    Attributes:
        name: of the image.
        sr: the result, on the network's device.
        hr, lr: what the protocol started from.
    """

    name: str
    sr: Tensor
    hr: Tensor
    lr: Tensor

    def image(self) -> np.ndarray:
        """The result as (H, W, C) uint8: a luma result of a colored image gets bicubic Cb and Cr."""
        if self.sr.shape[0] < self.lr.shape[0]:
            return to_pixels(with_chroma(self.sr, self.lr))
        return to_pixels(self.sr)


def score_network(
    network: SRNetwork | None,
    image_set: ImageSet,
    *,
    scale: int,
    protocol: str = "rgb8",
    device: torch.device | str = "cpu",
    metrics: Sequence[str] = METRICS,
    quiet: bool = True,
    rank: int = 0,
    world_size: int = 1,
    forward: Callable[[Tensor], Tensor] | None = None,
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> SetScore:
    """PSNR and SSIM of a network on a set, in float32.

    Images are decoded, resized and compared in several threads; the network runs on one at a time.

    Args:
        network: a copy of it is measured, as deployed; None for bicubic interpolation.
        image_set: opened at the same scale.
        scale: upscaling factor; a multi-scale network is measured at this one.
        protocol: "rgb8", "yfloat", "basicsr" or "rgb", see :mod:`sr_kd.evaluation.protocols`.
        device: where the network runs.
        metrics: "psnr", "ssim" or both.
        rank, world_size: this process measures the images rank, rank + world_size... of the set;
            :func:`merge_scores` puts the shares together.
        forward: takes the place of the network's forward pass (a tiled one, another runtime).
        keep: called with the name and the result of every image, (H, W, C) uint8, from several threads.

    Raises:
        UsageError: an unknown protocol or metric, a scale or color that does not fit.
        SrKdError: an image that cannot be read or is too small, an output that is not a number.
    """
    rule = find_protocol(protocol)
    for metric in metrics:
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
    if image_set.scale != scale:
        raise UsageError(f"set {image_set.name} was opened for x{image_set.scale}, not x{scale}")
    rule.check(None if network is None else network.color, image_set.lr is not None)
    window_upscaler = level_upscaler(network, scale, device)
    if forward is not None and window_upscaler is not None:
        window_upscaler = replace(window_upscaler, forward=forward)

    def measure(index: int) -> ImageScore:
        with torch.inference_mode():
            upscaled = upscale_image(image_set, index, rule, window_upscaler)
            if keep is not None:
                keep(upscaled.name, upscaled.image())
            return score_image(upscaled.name, upscaled.sr, upscaled.hr, rule, scale, metrics)

    images = []
    indices = range(rank, len(image_set), world_size)
    with progress_bar(len(indices), f"{image_set.name} x{scale}", "image", quiet) as bar:
        for image in in_threads(measure, indices):
            images.append(image)
            bar.update()
    return SetScore(image_set.name, scale, rule.name, tuple(images))


def level_upscaler(network: SRNetwork | None, scale: int, device: torch.device | str) -> LevelUpscaler | None:
    """The network at one scale, as a deployed copy on `device`; None for bicubic.

    Raises:
        UsageError: a scale that the network does not serve.
    """
    if network is None:
        return None
    deployed = network.for_scale(scale).deploy().requires_grad_(False)
    deployed.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LevelUpscaler(network.color, deployed, torch.device(device))


def upscale_image(
    image_set: ImageSet, index: int, protocol: Protocol, window_upscaler: LevelUpscaler | None
) -> UpscaledImage:
    """One image, read, made small and upscaled as the protocol says.

    Raises:
        SrKdError: an unreadable image, or a network whose output is no image of HR's size.
    """
    name = image_set.names[index]
    hr, lr = protocol.prepare(*read_levels(image_set, index), image_set.scale)
    size = (hr.shape[-2], hr.shape[-1])
    sr = protocol.upscale(lr, size, window_upscaler)
    if tuple(sr.shape[-2:]) != size:
        raise SrKdError(f"{name}: the network gives {sr.shape[-1]}x{sr.shape[-2]} pixels, not {size[1]}x{size[0]}")
    if not bool(sr.isfinite().all()):
        raise SrKdError(f"{name}: the network's output holds values that are not numbers; its training diverged")
    return UpscaledImage(name, sr, hr, lr)


def read_levels(image_set: ImageSet, index: int) -> tuple[Tensor, Tensor | None]:
    """(HR, LR or None) of one image as levels; LR only if the set has LR files.

    A gray HR image stays gray where its LR file has three channels.
    """
    if image_set.lr is None:
        return to_levels(image_set.read_hr(index)), None
    pair = image_set.read(index)
    hr, lr = to_levels(pair.hr), to_levels(pair.lr)
    if image_set.headers[index].channels == 1:
        return hr[:1], lr.mean(dim=0, keepdim=True)
    return hr, lr


def score_image(
    name: str, sr: Tensor, hr: Tensor, protocol: Protocol, scale: int, metrics: Sequence[str] = METRICS
) -> ImageScore:
    """Compare SR with HR, both (C, H, W) in levels, `scale` pixels cropped off each side.

    Raises:
        SrKdError: nothing, or too little for SSIM, is left after cropping.
    """
    height, width = (side - 2 * scale for side in hr.shape[-2:])
    smallest = WINDOW if "ssim" in metrics else 1
    if min(height, width) < smallest:
        raise SrKdError(
            f"{name} ({hr.shape[-1]}x{hr.shape[-2]}) is too small: {scale} pixels are cropped off each side, "
            f"and {smallest}x{smallest} must remain"
        )
    image, reference = (
        plane[..., scale : scale + height, scale : scale + width].contiguous() for plane in protocol.compared(sr, hr)
    )
    return ImageScore(
        name,
        psnr(image, reference) if "psnr" in metrics else None,
        ssim(image, reference) if "ssim" in metrics else None,
    )
