"""Progress bars: a rate and a remaining time on standard error, nothing when quiet."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int | None, description: str, unit: str = "it", quiet: bool = False, initial: int = 0) -> Any:
    """A tqdm bar; where standard error is no terminal it reports every ten seconds instead.

    Use as a context manager with ``bar.update(n)`` and ``bar.set_postfix_str(text)``.
    """
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        disable=quiet,
        initial=initial,
        mininterval=interval,
        maxinterval=max(interval, 10.0),
        dynamic_ncols=True,
        leave=True,
        file=sys.stderr,
    )
