"""Image-quality metrics by name, one file each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import UsageError
from ...registry import Registry
from .base import Metric
from .psnr import psnr
from .ssim import ssim

__all__ = ["METRICS", "STANDARD", "Metric", "find_metrics", "less_is_better", "psnr", "ssim"]

STANDARD = ("psnr", "ssim")
METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "psnr": "sr_kd.evaluation.metrics.psnr:PSNR",
        "ssim": "sr_kd.evaluation.metrics.ssim:SSIM",
        "ms_ssim": "sr_kd.evaluation.metrics.ms_ssim:MS_SSIM",
        "vif": "sr_kd.evaluation.metrics.vif:VIF",
        "niqe": "sr_kd.interop.basicsr_niqe:NIQE",
        "lpips": "sr_kd.evaluation.metrics.perceptual:LPIPS",
        "dists": "sr_kd.evaluation.metrics.perceptual:DISTS",
    },
)


def find_metrics(names: Sequence[str], measured: str | None = None) -> dict[str, Metric]:
    """The metrics of these names, ready to be used.

    Args:
        names: such as "psnr".
        measured: "y" or "rgb", what the protocol compares; None: not known yet.

    Raises:
        UsageError: an unknown name (with the nearest), a missing package or weights file, or a metric of RGB
            images where Y is compared.
    """
    metrics = {name: METRICS.get(name) for name in names}
    for name, metric in metrics.items():
        if metric.needs_rgb and measured == "y":
            raise UsageError(f"metric '{name}' looks at RGB images, and this protocol compares Y: use protocol 'rgb'")
        metric.check()
    return metrics


def less_is_better(names: Iterable[str]) -> list[str]:
    """Those of the names whose smaller value is the better image; names of other tasks' metrics are none.

    >>> less_is_better(["psnr", "niqe", "top1"])
    ['niqe']
    """
    known = METRICS.names()
    return [name for name in names if name in known and not METRICS.get(name).higher_is_better]
