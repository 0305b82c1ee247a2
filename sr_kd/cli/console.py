"""Log messages on standard error, without disturbing progress bars."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_to_console(quiet: bool = False) -> Iterator[None]:
    """Show the package's messages while a command runs: from INFO on, from WARNING on when quiet."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    logger = logging.getLogger("sr_kd")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(handler)
    level, logger.level = logger.level, logging.DEBUG
    try:
        with logging_redirect_tqdm([logger]):
            yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
