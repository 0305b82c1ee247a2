"""Results of a command as JSON: in a file, or on standard output for "-"."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..files import check_target, write_text


def check_json(target: str | None) -> None:
    """Refuse, with a UsageError, a ``--json`` file that could not be written once the work is done."""
    if target not in (None, "-"):
        check_target(target, "--json")


def write_json(target: str, document: Any) -> None:
    """UTF-8; what other encodings of standard output might not hold is escaped."""
    utf8 = target != "-" or (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(document, indent=2, ensure_ascii=not utf8, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(target, text)
