"""Work shared out over a few threads: decoding, resizing and comparing release Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """``map(function, items)``, several at a time, in order; after an error nothing more is started."""
    workers = min(os.cpu_count() or 1, 4, len(items))
    if workers < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def images_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], title: str, quiet: bool = False
) -> list[Result]:
    """As `in_threads`, with a progress bar."""
    found = []
    with progress_bar(len(items), title, "image", quiet) as bar:
        for result in in_threads(function, items):
            found.append(result)
            bar.update()
    return found
