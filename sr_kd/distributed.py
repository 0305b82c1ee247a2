"""What torchrun tells us, and the few collective operations that training and upscaling need."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from .device import pick_device
from .errors import SrKdError, UsageError

T = TypeVar("T")
COMING = timedelta(minutes=10)  # that the first process waits for the last to start
HEARING = 15.0  # seconds after which a process that waits for the others, and so hears no signal, is ended by it


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

    def agree(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, given to all; its SrKdError is raised by all."""
        made: T | SrKdError | None = None
        if self.leads:
            try:
                made = make()
            except SrKdError as error:
                made = error
        if self.size > 1:
            box = [made]
            distributed.broadcast_object_list(box, src=0)
            (made,) = box
        if isinstance(made, SrKdError):
            raise made
        return made  # type: ignore[return-value]

    def share(self, items: Sequence[T]) -> list[T]:
        """This rank's part: every item belongs to exactly one rank."""
        return list(items[self.rank :: self.size])

    def gather_shares(self, items: list[T]) -> list[T]:
        """All ranks' parts, put back in order on every rank."""
        shares = self.gather(items)
        whole: list[T] = [item for share in shares for item in share]
        for rank, share in enumerate(shares):
            whole[rank :: self.size] = share
        return whole

    def mean(self, value: Tensor) -> Tensor:
        """The mean of everybody's tensor, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
            value /= self.size
        return value

    def mean_gradients(self, module: nn.Module) -> None:
        """For a module that is not `parallel`: the mean of everybody's gradients, in place."""
        for parameter in module.parameters():
            if parameter.grad is not None:
                self.mean(parameter.grad)

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
def joined(device: str = "auto", *, trains: bool = True) -> Iterator[World]:
    """Join the processes that torchrun started (one process otherwise), and leave them at the end.

    If another process dies, the collective operations of this one fail; that is reported as one sentence.

    Args:
        device: of every process; on CUDA each has a GPU of its own.
        trains: gradients are averaged, by NCCL on CUDA. Else only Python objects are exchanged, by gloo, and the
            slowest process may need hours longer than the fastest.

    Raises:
        UsageError: the device is not available, or torchrun's environment is incomplete.
        SrKdError: another process did not start, or ended early.
    """
    given = {name: os.environ.get(name, default) for name, default in (("WORLD_SIZE", "1"), ("RANK", "0"))}
    if not all(value.isdecimal() for value in given.values()) or not int(given["RANK"]) < int(given["WORLD_SIZE"]):
        told = ", ".join(f"{name}={value}" for name, value in given.items())
        raise UsageError(f"the environment says {told}: unset both, or start with torchrun, which sets them")
    size, rank = int(given["WORLD_SIZE"]), int(given["RANK"])
    chosen = pick_device(device)
    if size == 1:
        yield World(0, 1, chosen)
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UsageError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set: start with torchrun")
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(chosen)
    # Imported later, its default arguments would hold the group for good, whose threads then outlive this function
    # and can abort the process while it ends.
    import_module("torch.distributed.nn")
    backend = "nccl" if trains and chosen.type == "cuda" else "gloo"
    patience = timedelta(minutes=30) if trains else timedelta(days=30)
    with _ended_by_signals():
        yield from _in_group(World(rank, size, chosen), backend, patience, trains)


def _in_group(world: World, backend: str, patience: timedelta, trains: bool) -> Iterator[World]:
    rank, size = world.rank, world.size
    try:
        store, _, _ = next(rendezvous("env://", timeout=COMING))
        store.set_timeout(patience)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    except (distributed.DistError, RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise SrKdError(
            f"rank {rank}: the {size} processes of this run did not come together at {where} within "
            f"{COMING.total_seconds() / 60:g} minutes ({str(error).splitlines()[0][:160]}): start all of them"
        ) from None
    try:
        yield world
    except (distributed.DistError, RuntimeError) as error:
        if _is_lost_peer(error):
            raise SrKdError(
                f"rank {rank}: another process of this run ended early ({str(error).splitlines()[0][:160]}); "
                f"see its own message, then start again with {'--auto_resume' if trains else '--skip-existing'}"
            ) from None
        raise
    finally:
        distributed.destroy_process_group()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Python looks at signals between its own steps; PyTorch's waiting for other processes is one step.

    A thread is told of every signal, and ends the process where the main thread does not come to look at it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told, tells = socket.socketpair()
    tells.setblocking(False)
    before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_unheard, args=(told,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        tells.close()


def _end_unheard(told: socket.socket) -> None:
    heard = threading.Event()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def hear(_: object) -> int:
        heard.set()
        return 0

    with told:
        while told.recv(1):
            heard.clear()
            ctypes.pythonapi.Py_AddPendingCall(hear, None)  # which the main thread does where it looks at signals
            if not heard.wait(HEARING):
                sys.stderr.write("sr-kd: stopped while it waited for the other processes of the run\n")
                sys.stderr.flush()
                os._exit(130)


def _is_lost_peer(error: Exception) -> bool:
    text = str(error).lower()
    signs = ("connection closed", "connection reset", "broken pipe", "timed out", "timeout", "nccl", "gloo", "peer")
    return isinstance(error, distributed.DistError) or any(sign in text for sign in signs)
