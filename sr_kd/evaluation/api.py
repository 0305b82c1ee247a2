"""Measuring a model in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.sets import ImageSet, open_set
from ..errors import UsageError
from ..imaging.load import load_model
from ..imaging.runner import RunPrecision
from ..imaging.runtimes import Runtime
from ..imaging.upscaler import Upscaler
from .benchmark import score_network
from .metrics import STANDARD
from .scores import SetScore

Folders = str | Path | Sequence[str | Path]


def evaluate(
    model: str | Path | Upscaler,
    hr: Folders,
    *,
    lr: Folders | None = None,
    scale: int,
    protocol: str = "rgb8",
    metrics: Sequence[str] = STANDARD,
    device: str = "auto",
    precision: RunPrecision = "fp32",
    runtime: Runtime = "torch",
    quiet: bool = True,
) -> list[SetScore]:
    """Score a model on one or several test sets: PSNR and SSIM, or the metrics asked for.

    Args:
        model: a file, the name of a shipped model, "bicubic", or what `load_model` returns.
        hr: folders of HR images, one set each; ``*.lmdb`` and "scikit-image:held_out" count as folders.
        lr: the folders of LR images, one for each of `hr`; by default LR is made from HR.
        scale: upscaling factor.
        protocol: "rgb8", "yfloat", "basicsr" or "rgb", see :mod:`sr_kd.evaluation.protocols`.
        metrics: "psnr", "ssim", "ms_ssim", "vif", "niqe", "lpips", "dists" or a plug-in's.
        device, precision, runtime: as in :class:`sr_kd.imaging.upscaler.Upscaler`; one that is given as `model`
            has its own, and its tiles and self-ensemble count, too.
        quiet: no progress bars.

    Returns:
        One score per folder, with those of every image.

    Raises:
        UsageError: an unknown model, protocol or metric, a metric that lacks its package, folders or a scale that do
            not fit.
        SrKdError: an image or model that cannot be read.
    """
    if isinstance(model, Upscaler):
        upscaler = model
    else:
        upscaler = load_model(model, scale=scale, device=device, precision=precision, runtime=runtime)
    return [
        score_network(upscaler, images, protocol=protocol, metrics=metrics, quiet=quiet)
        for images in open_sets(hr, lr, scale)
    ]


def open_sets(hr: Folders, lr: Folders | None, scale: int) -> list[ImageSet]:
    """One image set per folder.

    Raises:
        UsageError: folders that do not exist or do not fit, or another number of LR folders than of HR.
        SrKdError: an image that cannot be read.
    """
    hr_roots, lr_roots = _as_list(hr), None if lr is None else _as_list(lr)
    if lr_roots is not None and len(lr_roots) != len(hr_roots):
        raise UsageError(f"{len(hr_roots)} HR folder(s), but {len(lr_roots)} LR folder(s): give one LR folder for each")
    return [
        open_set([root], scale=scale, dataroot_lq=None if lr_roots is None else [lr_roots[index]])
        for index, root in enumerate(hr_roots)
    ]


def _as_list(folders: Folders) -> list[str]:
    return [str(folders)] if isinstance(folders, str | Path) else [str(folder) for folder in folders]
