"""What torchrun tells us, and the few collective operations that training needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from .device import pick_device
from .errors import SrKdError


@dataclass(frozen=True)
class World:
    """This process among all processes of the run.

    Attributes:
        rank: 0-based; rank 0 writes the files.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files, bars and logs."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value, by rank, on every rank. `value` must pickle."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def mean(self, value: Tensor) -> Tensor:
        """The mean of everybody's tensor, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
            value /= self.size
        return value

    def share_buffers(self, module: nn.Module) -> None:
        """Give every rank rank 0's buffers: batch norm's statistics, which each rank gathers from its own images."""
        if self.size > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def parallel(self, module: nn.Module, find_unused: bool) -> nn.Module:
        """The module so that its gradients are averaged over all processes; as it is for one process.

        Args:
            find_unused: some of its trained parameters may get no gradient.
        """
        if self.size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=find_unused)

    def synchronizing(self, module: nn.Module, now: bool) -> AbstractContextManager[Any]:
        """Gradients of a `parallel` module are averaged once per iteration, with its last part."""
        return nullcontext() if now or not isinstance(module, DistributedDataParallel) else module.no_sync()

    def check_gradients(self, module: nn.Module) -> None:
        """After the first backward pass of a `parallel` module.

        Raises:
            SrKdError: a trained parameter without gradient, for which the processes would wait.
        """
        if not isinstance(module, DistributedDataParallel) or module.find_unused_parameters:
            return
        unused = [name for name, each in module.module.named_parameters() if each.requires_grad and each.grad is None]
        if unused:
            layers = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in unused))
            raise SrKdError(
                f"{layers} got no gradient, and several processes would wait for it: leave it out of the network, "
                "or set 'find_unused_parameters: true' in the phase"
            )

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined(device: str = "auto", timeout_minutes: float = 30) -> Iterator[World]:
    """Join the processes that torchrun started (one process otherwise), and leave them at the end.

    NCCL on CUDA, gloo elsewhere. If another process dies, the collective operations of this one
    fail; that is reported as one sentence.

    Raises:
        UsageError: the device is not available. SrKdError: another process ended early.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = pick_device(device)
    if size == 1:
        yield World(0, 1, chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(chosen)
    # Imported later, its default arguments would hold the group for good, whose threads then outlive this function
    # and can abort the process while it ends.
    import_module("torch.distributed.nn")
    distributed.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo", timeout=timedelta(minutes=timeout_minutes)
    )
    try:
        yield World(rank, size, chosen)
    except (distributed.DistError, RuntimeError) as error:
        if _is_lost_peer(error):
            raise SrKdError(
                f"rank {rank}: another process of this run ended early ({str(error).splitlines()[0][:160]}); "
                "see its own message, then start again with --auto_resume"
            ) from None
        raise
    finally:
        distributed.destroy_process_group()


def _is_lost_peer(error: Exception) -> bool:
    text = str(error).lower()
    signs = ("connection closed", "connection reset", "broken pipe", "timed out", "timeout", "nccl", "gloo", "peer")
    return isinstance(error, distributed.DistError) or any(sign in text for sign in signs)
