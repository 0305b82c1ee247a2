"""PISR's imitation loss: the compact feature should look like LR (PISR, equation 3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ..errors import UsageError
from .base import Loss, LossInputs


class Imitation(Loss):
    """mean |LR - compact|, for a privileged teacher whose compact feature has LR's channels.

    Source: <https://arxiv.org/abs/2007.07524>
    """

    terms = ("imitation",)
    tasks = ("super_resolution",)
    needs_compact = True

    def forward(self, inputs: LossInputs) -> dict[str, Tensor]:
        compact = inputs.trained.features.get("compact")
        if compact is None:
            raise UsageError(
                "loss Imitation is for a phase that trains a PrivilegedTeacher (it has no compact feature)"
            )
        if compact.shape != inputs.lr.shape:
            raise UsageError(
                f"loss Imitation needs a compact feature of LR's shape; "
                f"found {tuple(compact.shape)} beside {tuple(inputs.lr.shape)}"
            )
        return {"imitation": functional.l1_loss(compact, inputs.lr)}
