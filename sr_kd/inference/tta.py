"""The x8 self-ensemble: the mean over the eight flips and rotations of the picture."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def self_ensemble(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean of `run` over the symmetries of the square, each undone afterwards (EDSR, section 3.4).

    Args:
        run: (N, C, h, w) -> (N, C, h * s, w * s).
        x: (N, C, H, W).
    """
    total: Tensor | None = None
    for transposed in (False, True):
        for axes in ((), (2,), (3,), (2, 3)):
            turned = x.transpose(2, 3) if transposed else x
            y = run(turned.flip(axes).contiguous()).flip(axes)
            y = y.transpose(2, 3) if transposed else y
            total = y if total is None else total + y
    return total / 8 if total is not None else x
