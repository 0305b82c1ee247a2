"""Writing a run's page: whole when asked for, from logs alone while it trains."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ..errors import SrKdError
from ..files import write_text
from ..images import Image, write_image
from .answer import Answer
from .distilled import distilled_phases, open_distillation, open_image
from .feature_figures import FeatureFigures, draw_features
from .gather import gather
from .page import render_features, render_page
from .run import Run

logger = logging.getLogger("sr_kd")
FILE = "report.html"


def page_path(run: Run) -> Path:
    """Where the page of a run is by default."""
    return run.workspace.results / FILE


def write_page(
    runs: Sequence[Run], path: Path, device: torch.device | None, *, answer: Answer | None = None, quiet: bool = True
) -> Path:
    """Write the page of one or several runs; with a device, their networks are measured and shown at work.

    Args:
        answer: what stands at the top; by default the arms are compared.

    Raises:
        UsageError: runs that cannot be compared.
        SrKdError: damaged files, or a page that cannot be written.
    """
    distillations = [] if device is None else [one for run in runs for one in _distillations(run, device)]
    write_text(path, render_page(gather(runs, device, quiet=quiet), distillations, answer))
    return path


def _distillations(run: Run, device: torch.device) -> Iterator[FeatureFigures]:
    """Of every finished phase that compares feature maps, if the states are still there."""
    phases = [name for name in distilled_phases(run) if run.workspace.states(name, run.recipe.seeds[0]).iterations()]
    if run.finished and phases and run.recipe.validation_sets:
        image = open_image(run, None, device)
        for name in phases:
            yield draw_features(run.recipe.name, open_distillation(run, name, image, device))


def refresh_page(run: Run) -> None:
    """Write the page of a run that goes on, from what it has logged; training does not end if that fails."""
    try:
        write_page([run], page_path(run), None)
    except SrKdError as error:
        logger.warning("the report was not refreshed: %s", error)


def write_features(figures: FeatureFigures, folder: Path) -> Path:
    """Write ``index.html`` and every panel as a PNG; returns the former. Raises SrKdError if that fails."""
    for figure in figures.figures:
        for number, panel in enumerate(figure.panels, 1):
            caption = re.sub(r"\W+", "_", panel.caption)
            write_image(folder / f"{figure.name}_{number}_{caption}.png", Image(panel.pixels))
    page = folder / "index.html"
    write_text(page, render_features(figures))
    return page
