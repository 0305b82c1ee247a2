"""A plug-in loss of the value 0 whose gradient is NaN at some iterations."""

from pathlib import Path

TEXT = """
from sr_kd.losses import LOSSES, Loss


class Poison(Loss):
    terms = ("poison",)

    def __init__(self, pairs, first: int = 0, last: int = 0) -> None:
        super().__init__(pairs)
        self.first, self.last = first, last

    def forward(self, inputs):
        output = inputs.trained_output
        value = (output * 0).sum()
        return {"poison": value.sqrt() if self.first <= inputs.iteration <= self.last else value}


def register():
    if "Poison" not in LOSSES.names():
        LOSSES.register("Poison", Poison)
"""


def poison(folder: Path) -> str:
    """Write the plug-in; returns its path."""
    path = folder / "poison.py"
    path.write_text(TEXT)
    return str(path)
