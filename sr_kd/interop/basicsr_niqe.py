"""NIQE, by BasicSR, which ships the parameters that its authors learned from pristine photographs."""

from __future__ import annotations

import math
import warnings
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from torch import Tensor

from ..data.color import rgb_to_y
from ..errors import SrKdError, UsageError
from ..evaluation.metrics.base import PEAK, Metric
from .basicsr import import_basicsr

BLOCK = 96
_TURN = Lock()


def niqe(image: Tensor) -> float:
    """Natural image quality evaluator (Mittal, Soundararajan, Bovik, IEEE Signal Processing Letters 2013).

    https://live.ece.utexas.edu/research/Quality/niqe_spl.pdf

    Args:
        image: (C, H, W), levels in 0..255; Y of three channels, rounded as in MATLAB. H and W at least 192, since
            the spread over the 96x96 blocks is part of it.

    Returns:
        Less is better; NaN for images that are flat nearly everywhere.

    Raises:
        UsageError: BasicSR cannot be imported.
    """
    y = PEAK * rgb_to_y(image / PEAK) if image.shape[0] == 3 else image
    module, parameters = _basicsr()
    with _TURN, warnings.catch_warnings():  # which is not safe in several threads at once
        warnings.simplefilter("ignore")  # flat blocks have no features: NumPy warns of means of nothing
        try:
            return float(module.niqe(y[0].float().cpu().numpy().round(), *parameters))
        except np.linalg.LinAlgError:  # no block has any
            return math.nan


@cache
def _basicsr() -> tuple[Any, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """BasicSR's module and its parameters: mean and covariance of the pristine features, the window."""
    try:
        module = import_basicsr().metrics.niqe
    except SrKdError as error:
        raise UsageError(f"metric 'niqe' is computed by BasicSR: {error}") from None
    with np.load(Path(module.__file__).with_name("niqe_pris_params.npz")) as arrays:
        return module, (arrays["mu_pris_param"], arrays["cov_pris_param"], arrays["gaussian_window"])


NIQE = Metric(
    "NIQE", niqe, rule="of Y", decimals=3, higher_is_better=False, needs_hr=False, smallest=2 * BLOCK, check=_basicsr
)
