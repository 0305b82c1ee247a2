"""Visual information fidelity, by torchmetrics."""

from __future__ import annotations

from torch import Tensor

from .base import Metric, batch_of, check_pair
from .optional import optional_module

_MODULE = "torchmetrics.functional.image"


def vif(image: Tensor, reference: Tensor) -> float:
    """VIF in the pixel domain (Sheikh, Bovik, IEEE Trans. Image Processing 2006), the authors' ``vifp_mscale``.

    https://live.ece.utexas.edu/research/quality/VIF.htm

    Args:
        image, reference: (C, H, W), floating point, levels in 0..255, H and W at least 41. Channels are averaged.

    Returns:
        1 for identical images; NaN where the reference is flat and holds no information.

    Raises:
        UsageError: the images differ in shape, or torchmetrics is missing.
    """
    check_pair(image, reference)
    measure = optional_module(_MODULE, "vif").visual_information_fidelity
    return float(measure(batch_of(image), batch_of(reference)))


VIF = Metric("VIF", vif, rule="pixel domain", smallest=41, check=lambda: optional_module(_MODULE, "vif"))
