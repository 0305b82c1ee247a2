"""Mean average precision of detections, as COCO defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...errors import UsageError


def mean_average_precision(
    found: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]
) -> dict[str, float]:
    """COCO's average precision, the mean over classes, in percent.

    Computed by torchmetrics with pycocotools: 101 points of recall, at most 100 detections per image.

    Args:
        found: per image boxes (K, 4) as left, top, right, bottom, labels (K,) and scores (K,), on the CPU.
        targets: per image boxes and labels of what is there.

    Returns:
        "map", the mean over IoU thresholds 0.5, 0.55 ... 0.95, and "map50", at 0.5.

    Raises:
        UsageError: torchmetrics or pycocotools is missing.
    """
    try:
        from torchmetrics.detection import MeanAveragePrecision

        metric = MeanAveragePrecision(sync_on_compute=False)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit this torch
        problem = str(error).splitlines()[0]
        raise UsageError(
            f"mean average precision needs torchmetrics and pycocotools ({problem}): pip install 'sr_kd[detection]'"
        ) from None
    metric.update([dict(image) for image in found], [dict(image) for image in targets])
    values = metric.compute()
    return {"map": 100 * float(values["map"]), "map50": 100 * float(values["map_50"])}
