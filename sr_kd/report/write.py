"""Writing a run's page: whole when asked for, from logs alone while it trains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from ..errors import SrKdError
from ..files import write_text
from .gather import gather
from .page import render_page
from .run import Run

logger = logging.getLogger("sr_kd")
FILE = "report.html"


def page_path(run: Run) -> Path:
    """Where the page of a run is by default."""
    return run.workspace.results / FILE


def write_page(runs: Sequence[Run], path: Path, device: torch.device | None, *, quiet: bool = True) -> Path:
    """Write the page of one or several runs; with a device, their networks are measured and shown at work.

    Raises:
        UsageError: runs that cannot be compared.
        SrKdError: damaged files, or a page that cannot be written.
    """
    write_text(path, render_page(gather(runs, device, quiet=quiet)))
    return path


def refresh_page(run: Run) -> None:
    """Write the page of a run that goes on, from what it has logged; training does not end if that fails."""
    try:
        write_page([run], page_path(run), None)
    except SrKdError as error:
        logger.warning("the report was not refreshed: %s", error)
