"""BasicSR as a candidate: there, or the reason why it is not."""

from __future__ import annotations

from typing import Any

from ..errors import SrKdError
from ..interop.basicsr import import_basicsr

BASICSR = "BasicSR"


def find_basicsr() -> tuple[Any, dict[str, str]]:
    """(the package or None, candidate -> why it is absent)."""
    try:
        return import_basicsr(), {}
    except SrKdError as error:
        return None, {BASICSR: str(error)}
