"""The x8 self-ensemble: the mean over the eight flips and rotations of the image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def self_ensemble(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean of `run` over the symmetries of the square, each undone afterwards (EDSR, section 3.4).

    Args:
        run: (N, C, h, w) -> (N, C, h * s, w * s).
        x: (N, C, H, W).

    >>> x = torch.arange(6.0).view(1, 1, 2, 3)
    >>> bool((self_ensemble(lambda image: image, x) == x).all())
    True
    """
    results = []
    for transposed in (False, True):
        for axes in ((), (2,), (3,), (2, 3)):
            turned = x.transpose(2, 3) if transposed else x
            y = run(turned.flip(axes).contiguous(memory_format=torch.channels_last)).flip(axes)
            results.append(y.transpose(2, 3) if transposed else y)
    return torch.stack(results).mean(dim=0)
