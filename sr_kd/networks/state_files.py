"""Reading weights files of any origin without ever running code that is in them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..errors import SrKdError

DESCRIPTION_KEY = "sr_kd"
SCALES_KEY = "sr_kd.scales"  # a tensor beside the weights, for readers that see tensors only
TORCH_SUFFIXES = (".pth", ".pt", ".ckpt")
SUFFIXES = (*TORCH_SUFFIXES, ".safetensors", ".npz")
# Where the weights are in the files of this field, averages first; one may lie within another.
AVERAGES = (
    *("params_ema", "params-ema", "state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "shadow"),
    *("generator_ema", "netG_ema", "g_ema", "G_ema"),
)
WRAPPERS = (
    *(*AVERAGES, "params", "state_dict", "model_state_dict", "model", "net", "network", "weights"),
    *("generator", "generator_state_dict", "netG", "g", "G"),
)
# What wrapped models put before every key, and before those of the network in a file that also holds its critic.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "netG.", "network.")
GENERATORS = ("ema_model.", "generator_ema.", "generator.")
COUNTER = "n_averaged"  # of PyTorch's AveragedModel, beside the weights
LARGEST_DESCRIPTION = 2**24  # characters
NO_PTH = "not a PyTorch weights file, or a truncated one"
NO_NPZ = "not an .npz file of plain numeric arrays, or a truncated one"
LARGEST_EXPANSION = 100  # of compressed arrays; weights hardly shrink, zeros by a thousand
NESTING = 6  # levels of a network's arguments: a teacher has two


@dataclass(frozen=True)
class StateFile:
    """The content of a weights file.

    Attributes:
        tensors: key -> tensor on the CPU; moving averages where the file has them.
        description: what `save_network` wrote beside the weights; None in a foreign file.
    """

    tensors: dict[str, Tensor]
    description: dict[str, Any] | None


def read_state(path: Path | str, key: str | None = None) -> StateFile:
    """Read ``.pth``, ``.pt``, ``.ckpt`` (weights only), ``.safetensors`` or ``.npz``.

    Args:
        key: the entry of a PyTorch file that holds the weights, if it has it; else moving averages where there are any.

    Raises:
        SrKdError: no such file, an empty, truncated or foreign one, or one that holds no weights.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SrKdError(f"{path}: not a weights file by its suffix '{suffix}'; known: {', '.join(SUFFIXES)}")
    try:
        if path.stat().st_size == 0:
            raise SrKdError(f"{path}: the file is empty")
        if suffix == ".safetensors":
            return _read_safetensors(path)
        if suffix == ".npz":
            return _read_npz(path)
        return _read_torch(path, key)
    except OSError as error:
        raise SrKdError(f"cannot read {path}: {error.strerror or error}") from None


def _read_torch(path: Path, key: str | None) -> StateFile:
    data = path.read_bytes()  # so that an OSError means the disk; the reader raises it for a truncated file too
    _refuse_compressed(path, data)
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # the reader meets arbitrary bytes and raises whatever they lead to
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            raise SrKdError(
                f"{path}: holds Python objects besides weights (a whole pickled model?), and these are never "
                f"unpickled; save the model's state_dict() instead"
            ) from None
        raise SrKdError(f"{path}: {NO_PTH}") from None
    if not isinstance(content, Mapping):
        raise SrKdError(f"{path}: holds a {type(content).__name__}, no weights")
    if isinstance(content.get(key), Mapping):
        content = {name: content[name] for name in (key, DESCRIPTION_KEY) if name in content}
    return StateFile(_unwrap(path, content), _description(path, content.get(DESCRIPTION_KEY)))


def _refuse_compressed(path: Path, data: bytes) -> None:
    """PyTorch compresses nothing; what is compressed may be a thousand times larger than it looks."""
    entries = _entries(data, f"{path}: {NO_PTH}") if data.startswith(b"PK") else []
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise SrKdError(f"{path}: not a PyTorch weights file: its content is compressed")


def _entries(data: bytes, refusal: str) -> list[zipfile.ZipInfo]:
    """Of a zip archive. What Python cannot list is refused: other readers might unpack it all the same."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.infolist()
    except Exception:  # arbitrary bytes lead to any error
        raise SrKdError(refusal) from None


def _read_safetensors(path: Path) -> StateFile:
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        tensors = load_file(path)
        tensors.pop(SCALES_KEY, None)
    except (safetensors.SafetensorError, ValueError):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise SrKdError(f"{path}: its path is no UTF-8, which safetensors needs: rename it") from None
        raise SrKdError(f"{path}: not a safetensors file, or a truncated one") from None
    return StateFile(_unwrap(path, tensors), _description(path, metadata.get(DESCRIPTION_KEY)))


def _read_npz(path: Path) -> StateFile:
    data = path.read_bytes()
    if sum(entry.file_size for entry in _entries(data, f"{path}: {NO_NPZ}")) > LARGEST_EXPANSION * len(data):
        raise SrKdError(f"{path}: its arrays are more than {LARGEST_EXPANSION} times larger than the file")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
    except Exception:  # as above, through the reader of zip files
        raise SrKdError(f"{path}: {NO_NPZ}") from None
    return StateFile(_unwrap(path, tensors), None)


def without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys without what DataParallel, torch.compile, Lightning and GAN trainers put before them.

    >>> list(without_prefixes({"module._orig_mod.a": torch.zeros(1), "module._orig_mod.b": torch.zeros(1)}))
    ['a', 'b']
    >>> list(without_prefixes({"generator.a": torch.zeros(1), "discriminator.a": torch.zeros(1)}))
    ['a']
    """
    stripped = dict(tensors)
    while True:
        shared = [prefix for prefix in PREFIXES if stripped and all(key.startswith(prefix) for key in stripped)]
        shared += [prefix for prefix in GENERATORS if any(key.startswith(prefix) for key in stripped)]
        if not shared:
            return stripped
        prefix = shared[0]
        stripped = {key.removeprefix(prefix): value for key, value in stripped.items() if key.startswith(prefix)}


def _unwrap(path: Path, content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The weights within their usual wrappers, checked to be plain numbers."""
    inner = content
    for _ in WRAPPERS:
        deeper = [inner[key] for key in WRAPPERS if _holds_weights(inner.get(key))]
        if not deeper:
            break
        inner = deeper[0]
    tensors = {str(key): value for key, value in inner.items() if isinstance(value, Tensor)}
    tensors.pop(COUNTER, None)
    if not tensors:
        keys = ", ".join(str(key) for key in list(content)[:5]) or "none"
        raise SrKdError(f"{path}: no weights found; its entries: {keys}")
    for key, value in tensors.items():
        if value.is_meta or value.layout != torch.strided or value.is_quantized:
            kind = "no values" if value.is_meta else "values that are not plain numbers (sparse or quantized)"
            raise SrKdError(f"{path}: its tensor '{key}' holds {kind}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise SrKdError(f"{path}: its tensor '{key}' claims {value.numel():,} numbers, and the file holds fewer")
    return tensors


def _holds_weights(value: Any, levels: int = 3) -> bool:
    """Whether there are tensors in an entry, or in wrappers within it: an "ema" may be but a rate and a count."""
    if not isinstance(value, Mapping) or not levels:
        return False
    inside = (value.get(key) for key in WRAPPERS)
    return any(isinstance(each, Tensor) for each in value.values()) or any(
        _holds_weights(each, levels - 1) for each in inside
    )


def _description(path: Path, text: Any) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        if len(text) > LARGEST_DESCRIPTION:
            raise ValueError
        description = json.loads(text)
        parts = (description["type"], description["arguments"], description.get("metadata", {}))
        if (
            [type(part) for part in parts] != [str, dict, dict]
            or {"type", "init"} & parts[1].keys()
            or _is_deep(parts[1])
        ):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise SrKdError(f"{path}: its description of the network ('{DESCRIPTION_KEY}') is damaged") from None
    return description


def _is_deep(value: Any) -> bool:
    """Whether a mapping holds mappings beyond `NESTING` levels."""
    level = [value]
    for _ in range(NESTING):
        lists = [list(outer.values()) if isinstance(outer, dict) else outer for outer in level]
        level = [inner for outer in lists if isinstance(outer, list) for inner in outer]
    return bool(level)
