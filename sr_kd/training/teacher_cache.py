"""What a frozen teacher makes of batches that recur, computed once and kept in files for all phases, seeds and runs."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ..files import atomic_path
from ..losses.base import LossInputs, NetworkOutput
from ..networks.base import Network

logger = logging.getLogger("sr_kd")
FOLDER = "teacher_cache"  # of experiments_root


class TeacherCache:
    """A folder of outputs and features, each with the digest of all that it depends on for a name.

    That is the teacher's class and weights, what is asked of it, how it is computed, and the pixels of the batch. What
    is read has the bits, and the order in memory, of what was computed.

    Args:
        batches: that recur; how many files there will be.
        asked: taps, precision and the like.
    """

    def __init__(self, folder: Path, batches: int, network: Network, asked: Iterable[object]) -> None:
        self._folder, self._batches = folder, batches
        how = (type(network).__name__, torch.__version__, torch.get_num_threads(), *asked)
        self._teacher = hashlib.blake2b(repr(how).encode(), digest_size=20)
        for name, tensor in network.state_dict().items():
            self._teacher.update(name.encode() + tensor.cpu().numpy().tobytes())

    def view(self, inputs: LossInputs, compute: Callable[[], NetworkOutput]) -> NetworkOutput:
        """What was kept for a batch, or what is computed now and kept.

        Raises:
            SrKdError: the disk is full.
        """
        digest = self._teacher.copy()
        for image in (inputs.lr, inputs.hr):
            digest.update(f"{image.device.type} {image.dtype} {tuple(image.shape)} {image.stride()}".encode())
            digest.update(image.detach().cpu().contiguous().numpy().tobytes())
        path = self._folder / f"{digest.hexdigest()}.pt"
        if path.is_file():
            try:
                kept = torch.load(path, map_location=inputs.lr.device, weights_only=True)
                return NetworkOutput(kept["output"], kept["features"])
            except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
                logger.warning("%s is damaged (%s), and made anew", path, str(error).split("\n")[0][:100])
        made = compute()
        self._write(path, made)
        return made

    def _write(self, path: Path, made: NetworkOutput) -> None:
        tensors = [*made.features.values(), *([] if made.output is None else [made.output])]
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if not self._folder.is_dir():
            logger.info(
                "what the teacher makes of %d batches takes %.0f MB in %s",
                self._batches,
                self._batches * size / 1e6,
                self._folder,
            )
        with atomic_path(path) as temporary:
            torch.save({"output": made.output, "features": dict(made.features)}, temporary)
