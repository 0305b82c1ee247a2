"""Building a network from a file of unknown origin, no larger than what the file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as registration

from ..errors import UsageError

# A network may be built twice, replace parts while it is built, and hold constants that no file has.
TIMES, MORE_PARTS, MORE_ELEMENTS = 4, 256, 2**20
MODULES_PER_TENSOR = 4


@contextmanager
def bounded_by(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block, this thread cannot build a network that is much larger than these tensors.

    A number in a file's description may ask for ten million layers; the first ones too many end the construction.

    Raises:
        UsageError: from inside the constructor.
    """
    room = {
        "layers": MODULES_PER_TENSOR * (TIMES * len(tensors) + MORE_PARTS),
        "tensors": TIMES * len(tensors) + MORE_PARTS,
        "elements": TIMES * sum(tensor.numel() for tensor in tensors.values()) + MORE_ELEMENTS,
    }
    owner = get_ident()

    def count(_owner: nn.Module, _name: str, part: Any) -> None:
        if get_ident() != owner:
            return
        if isinstance(part, Tensor):
            room["tensors"] -= 1
            room["elements"] -= part.numel()
        else:
            room["layers"] -= 1
        for what, left in room.items():
            if left < 0:
                raise UsageError(f"its description asks for many more {what} than the file holds")

    handles = [
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_buffer_registration_hook(count),
        registration.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_numbers(arguments: Any, tensors: Mapping[str, Tensor]) -> None:
    """Refuse whole numbers beyond the elements of these tensors: nothing sensible is that large.

    Args:
        arguments: as a file describes them, nested.

    Raises:
        UsageError: such a number.
    """
    most = max(2**16, sum(tensor.numel() for tensor in tensors.values()))
    waiting = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif isinstance(value, int) and abs(value) > most:
            raise UsageError(f"its description holds a whole number beyond the {most:,} elements of its tensors")
