"""Weights that fit a network, key by key and shape by shape, or a sentence about those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import SrKdError, nearest
from .network import Network

SHOWN = 3  # keys that a message names


def load_strictly(network: Network, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load weights from a file.

    Raises:
        SrKdError: keys or shapes that do not fit, counted and named, or integers in the place of weights.
    """
    expected = network.state_dict()
    problems = [
        _list_keys("missing", [key for key in expected if key not in tensors], tensors),
        _list_keys("surplus", [key for key in tensors if key not in expected], expected),
        _list_shapes({key: value for key, value in tensors.items() if key in expected}, expected),
    ]
    kinds = {
        str(value.dtype).removeprefix("torch.") for key, value in tensors.items() if _loses(value, expected.get(key))
    }
    if kinds:
        problems.append(f"its weights are no floating-point numbers but {', '.join(sorted(kinds))}")
    if any(problems):
        raise SrKdError(f"{path} does not fit {network.type_name}: {'; '.join(filter(None, problems))}")
    network.load_state_dict(dict(tensors))


def _loses(given: Tensor, expected: Tensor | None) -> bool:
    """Whether loading would quietly turn integers or complex numbers into weights."""
    return expected is not None and expected.is_floating_point() and not given.is_floating_point()


def _list_keys(what: str, keys: list[str], others: Mapping[str, Tensor]) -> str:
    if not keys:
        return ""
    names = ", ".join(f"{key}{nearest(key, others)}" for key in keys[:SHOWN])
    return f"{len(keys)} {what}: {names}{', ...' if len(keys) > SHOWN else ''}"


def _list_shapes(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    wrong = [key for key, value in tensors.items() if value.shape != expected[key].shape]
    if not wrong:
        return ""
    names = ", ".join(f"{key} {tuple(tensors[key].shape)} for {tuple(expected[key].shape)}" for key in wrong[:SHOWN])
    return f"{len(wrong)} of another shape: {names}{', ...' if len(wrong) > SHOWN else ''}"
