"""How this process takes memory from the system, and how to tell that there is no more."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

# glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# PyTorch on accelerators and on CPUs, oneDNN, C++, the system, OpenCV, the loader of libraries.
_OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory", "could not create a primitive", "bad_alloc"),
    *("could not create a memory", "cannot allocate memory", "insufficient memory"),
    *("failed to map segment", "can't start new thread"),
)
_ENOUGH = 2**36  # bytes of addresses that are room for PyTorch's libraries, those of GPUs too
_LITTLE = 2**28  # and bytes of them that libraries loaded later may need
_SECONDS = 30  # of processor time, in which PyTorch is loaded or never
_LARGEST_KEPT = 2**30
_LARGEST_BY_ITSELF = 2**25


def keep_freed_memory() -> bool:
    """Let later feature maps reuse the memory of earlier ones, for the rest of this process.

    glibc gives every block above 32 MB back to the system when it is freed, and the system clears the
    pages of the next one: a feature map then costs as much as the convolution that fills it (VDSR on
    640x360 pixels takes 1.7 times as long). A program decides this for itself, a library must not: the
    commands call it, `import sr_kd` does not.

    Returns:
        Whether there was something to set; other C libraries and systems have their own ways.
    """
    # Threads begun later share the main arena: their own ones keep no block above 64 MB.
    return _set(_M_ARENA_MAX, 1) and _set_thresholds(_LARGEST_KEPT, 2**31 - 1)


def return_freed_memory() -> bool:
    """As glibc does by itself once large blocks have come and gone: those above 32 MB return to the system."""
    return _set_thresholds(_LARGEST_BY_ITSELF, 2 * _LARGEST_BY_ITSELF)


def _set_thresholds(largest_kept: int, trim: int) -> bool:
    return _set(_M_MMAP_THRESHOLD, largest_kept) and _set(_M_TRIM_THRESHOLD, trim)


def _set(option: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).mallopt(option, value))
    except (AttributeError, OSError, TypeError):
        return False


def free_address_space() -> int | None:
    """Bytes that this process may still map; None where nothing limits it (``ulimit -v``), or it cannot be told."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return None
    return max(0, limit - used)


def torch_fits() -> bool:
    """Whether PyTorch's libraries, which end a process where they find no room, can be loaded under its limits.

    Where there is room for it without a doubt it is not tried; else another process tries, with a little less room.
    """
    free = free_address_space()
    if free is None or free > _ENOUGH or "torch" in sys.modules:
        return True
    attempt = (
        f"import mmap, resource; resource.setrlimit(resource.RLIMIT_CPU, ({_SECONDS}, {_SECONDS}))\n"
        f"little = mmap.mmap(-1, {_LITTLE}); import torch"
    )
    try:  # with less and less room it ends in an ImportError, by a signal, or never
        return subprocess.run([sys.executable, "-c", attempt], capture_output=True).returncode == 0
    except OSError:  # no process may be started: it remains to be seen
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out, on any device."""
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
