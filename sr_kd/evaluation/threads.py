"""Work shared out over a few threads: decoding, resizing and comparing release Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], title: str = "", quiet: bool = True
) -> list[Result]:
    """``map(function, items)`` of images, several at a time, in order; after an error nothing more is started.

    Args:
        title: of the progress bar.
        quiet: no progress bar.
    """
    workers = max(1, min(os.cpu_count() or 1, 4, len(items)))
    results = []
    with progress_bar(len(items), title, "image", quiet) as bar, ThreadPoolExecutor(workers) as pool:
        try:
            for result in pool.map(function, items):
                results.append(result)
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
