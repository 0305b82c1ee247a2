"""Measuring a network on a set of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.sets import ImageSet
from ..errors import SrKdError, UsageError
from ..imaging.upscaler import Upscaler
from ..networks.base import Color
from .metrics import METRICS, STANDARD, find_metrics
from .protocols import Protocol, find_protocol, to_levels, to_pixels, with_chroma
from .scores import ImageScore, SetScore
from .threads import in_threads


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
    upscaler: Upscaler,
    image_set: ImageSet,
    *,
    protocol: str = "rgb8",
    metrics: Sequence[str] = STANDARD,
    quiet: bool = True,
    rank: int = 0,
    world_size: int = 1,
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> SetScore:
    """Score a network, or bicubic interpolation, on a set: PSNR and SSIM, or the metrics asked for.

    Images are decoded, resized and compared in several threads; the network runs on one at a time.

    Args:
        upscaler: its network is measured, in its precision, with its tiles and self-ensemble.
        image_set: opened at the same scale.
        protocol: "rgb8", "yfloat", "basicsr" or "rgb", see :mod:`sr_kd.evaluation.protocols`.
        metrics: names in `evaluation.metrics.METRICS`.
        rank, world_size: this process measures the images rank, rank + world_size... of the set;
            :func:`sr_kd.evaluation.scores.merge_scores` puts the shares together.
        keep: called with the name and the result of every image, (H, W, C) uint8, from several threads.

    Raises:
        UsageError: an unknown protocol or metric, a scale or color that does not fit.
        SrKdError: an image that cannot be read or is too small, an output that is not a number, too little memory.
    """
    rule = check_measurable(upscaler, image_set, protocol, metrics)
    scale = upscaler.scale
    turn = Lock()

    def measure(index: int) -> ImageScore:
        with torch.inference_mode():
            upscaled = upscale_image(image_set, index, rule, upscaler, turn)
            if keep is not None:
                keep(upscaled.name, upscaled.image())
            return score_image(upscaled.name, upscaled.sr, upscaled.hr, rule, scale, metrics)

    images = in_threads(measure, range(rank, len(image_set), world_size), f"{image_set.name} x{scale}", quiet)
    return SetScore(image_set.name, scale, rule.name, tuple(images), image_set.lr is not None)


def check_measurable(upscaler: Upscaler, image_set: ImageSet, protocol: str, metrics: Sequence[str]) -> Protocol:
    """The protocol; refuses what :func:`score_network` cannot measure. Raises the same UsageError."""
    rule = find_protocol(protocol)
    find_metrics(metrics, rule.measures)
    if image_set.scale != upscaler.scale:
        raise UsageError(f"set {image_set.name} was opened for x{image_set.scale}, not x{upscaler.scale}")
    rule.check(_color(upscaler), image_set.lr is not None)
    return rule


def upscale_image(
    image_set: ImageSet,
    index: int,
    protocol: Protocol,
    upscaler: Upscaler,
    turn: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 (it holds nothing)
) -> UpscaledImage:
    """One image, read, made small and upscaled as the protocol says; `turn` is held while the network runs.

    Raises:
        SrKdError: an unreadable image, an output that is not a number, too little memory.
    """
    name = image_set.names[index]

    def network(x: Tensor) -> Tensor:
        with turn:
            return upscaler.run_network(x)

    hr, lr = protocol.prepare(*read_levels(image_set, index), image_set.scale)
    try:
        sr = protocol.upscale(lr, (hr.shape[-2], hr.shape[-1]), _color(upscaler), network)
    except SrKdError as error:
        raise type(error)(f"{name}: {error}") from None
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
    name: str, sr: Tensor, hr: Tensor, protocol: Protocol, scale: int, metrics: Sequence[str] = STANDARD
) -> ImageScore:
    """Compare SR with HR, both (C, H, W) in levels, `scale` pixels cropped off each side.

    Raises:
        SrKdError: nothing, or too little for a metric, is left after cropping.
    """
    height, width = check_size(name, hr.shape[-2], hr.shape[-1], scale, metrics)
    image, reference = (
        plane[..., scale : scale + height, scale : scale + width].contiguous() for plane in protocol.compared(sr, hr)
    )
    return ImageScore(name, {key: METRICS.get(key)(image, reference) for key in metrics})


def check_size(name: str, height: int, width: int, scale: int, metrics: Sequence[str]) -> tuple[int, int]:
    """Height and width of an HR image after cropping.

    Raises:
        SrKdError: nothing, or too little for a metric, is left.
    """
    largest = max((METRICS.get(metric) for metric in metrics), key=lambda metric: metric.smallest)
    if min(height, width) - 2 * scale < largest.smallest:
        raise SrKdError(
            f"{name} ({width}x{height}) is too small: {scale} pixels are cropped off each side, "
            f"and {largest.smallest}x{largest.smallest} must remain for {largest.title}"
        )
    return height - 2 * scale, width - 2 * scale


def _color(upscaler: Upscaler) -> Color | None:
    """Of its network; None of bicubic interpolation."""
    return None if upscaler.network is None else upscaler.color
