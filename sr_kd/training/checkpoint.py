"""Training states: one self-contained file each, written atomically, checked when read."""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SrKdError
from ..files import atomic_path

_DIGEST = 32
logger = logging.getLogger("sr_kd")


class StateFolder:
    """The states of one phase and seed: ``<iteration>.state``.

    Args:
        folder: where they are.
        keep: how many stay (0: all); the newest ones.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, iteration: int, state: dict[str, Any]) -> Path:
        """Write the state of an iteration (number of finished iterations), then drop old ones.

        The file is a torch zip file followed by its SHA-256 digest. Raises SrKdError if it cannot be written, or if
        weights are NaN or Inf.
        """
        check_finite(state, f"the state of iteration {iteration} is not saved")
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        path = self.folder / f"{iteration}.state"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        for dropped in self._outdated(iteration):
            (self.folder / f"{dropped}.state").unlink(missing_ok=True)
        return path

    def _outdated(self, iteration: int) -> list[int]:
        """Beyond the newest: old states, and later ones, which a resumed run found damaged and went on before."""
        saved = self.iterations()
        kept = [number for number in saved if number <= iteration][-self.keep :]
        return [number for number in saved if number not in kept]

    def load_latest(self, below: float = math.inf) -> tuple[int, dict[str, Any]] | None:
        """The newest intact state with its iteration; None if there is none.

        A damaged file, or one with weights that are NaN or Inf, is reported and the state before it is taken.

        Args:
            below: only states of fewer iterations.
        """
        for iteration in reversed(self.iterations()):
            if iteration < below:
                try:
                    return iteration, read_state(self.folder / f"{iteration}.state")
                except SrKdError as error:
                    logger.warning("%s; trying the state before it", error)
        return None

    def iterations(self) -> list[int]:
        """The saved iterations, ascending."""
        return sorted(int(path.stem) for path in self.folder.glob("*.state") if path.stem.isdecimal())


def check_finite(weights: Any, refusal: str) -> None:
    """Refuse weights that are NaN or Inf, wherever they are in a tree of mappings.

    They are looked at all at once, by one norm, and one by one only where that is not finite.

    Raises:
        SrKdError: the `refusal`, and which.
    """
    found = dict(_weights(weights))
    if not torch.isfinite(nn.utils.get_total_norm(list(found.values()))):
        bad = [name for name, value in found.items() if not torch.isfinite(value).all()]
        if bad:
            raise SrKdError(f"{refusal}: {len(bad)} of {len(found)} tensors are NaN or Inf, the first is {bad[0]}")


def _weights(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The floating tensors that must be finite: not what a gradient ratio does not know yet."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _weights(value, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, Tensor) and tree.is_floating_point() and not name.endswith("gradient_ratios.strength"):
        yield name, tree


def read_state(path: Path) -> dict[str, Any]:
    """Read one state file on the CPU. Raises SrKdError if it is damaged."""
    try:
        data = path.read_bytes() if path.is_file() or not path.exists() else b""  # a pipe would be waited for
    except OSError as error:
        raise SrKdError(f"cannot read {path}: {error.strerror}") from None
    content, digest = memoryview(data)[:-_DIGEST], data[-_DIGEST:]
    if len(data) <= _DIGEST or hashlib.sha256(content).digest() != digest:
        raise SrKdError(f"{path} is damaged (its checksum does not fit)")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a body that is not ours may raise anything
        raise SrKdError(f"{path} is not a training state: {error}") from None
    if not isinstance(state, dict):
        raise SrKdError(f"{path} is not a training state: it holds a {type(state).__name__}")
    check_finite(state, f"{path} is not gone on from")
    return state
