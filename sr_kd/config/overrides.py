"""``--force_yml a:b=value``: options of the file replaced from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError, nearest
from .document import DEEPEST, Document, parse_value
from .origin import KeyPath, dotted

NAMED = {("phases",), ("networks",), ("datasets",)}


def apply_overrides(document: Document, overrides: Sequence[str]) -> Document:
    """The document with each ``a:b=value`` or ``a.b=value`` applied, in order.

    Values are read as YAML: numbers, lists, true... Keys that the file leaves out may be set; whether
    they exist is for the schema to say. Entries of lists are numbered from 0 (``losses.1.weight``).

    Raises:
        UsageError: an override without '=', or a path through something that is not there.
    """
    for override in overrides:
        source = f"--force_yml {override}"
        key, separator, value = override.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"{source}: write it as a:b=value")
        path: KeyPath = ()
        parts = [part.strip() for part in re.split("[:.]", key)]
        if len(parts) > DEEPEST:
            raise UsageError(f"{source[:60]}...: {len(parts):,} keys within each other; at most {DEEPEST}")
        current: Any = document.data
        for part in parts[:-1]:
            step = _step(current, part, path, source, create=path not in NAMED)
            current, path = current[step], (*path, step)
            document.places.setdefault(path, source)
        last = _step(current, parts[-1], path, source, create=True)
        current[last] = parse_value(value, source)
        path = (*path, last)
        for known in [known for known in document.places if known[: len(path)] == path]:
            del document.places[known]
        document.places[path] = source
    return document


def _step(current: Any, part: str, path: KeyPath, source: str, create: bool) -> str | int:
    """The key or index that `part` means inside `current`; a missing section is created."""
    if isinstance(current, list):
        if part.isdigit() and int(part) < len(current):
            return int(part)
        raise UsageError(f"{source}: '{dotted(path)}' is a list of {len(current)}; use 0 to {len(current) - 1}")
    if not isinstance(current, dict):
        raise UsageError(f"{source}: '{dotted(path)}' is {current!r}, not a section")
    if part not in current:
        if not create:
            raise UsageError(
                f"{source}: there is no '{dotted((*path, part))}'{nearest(part, current)}; known: {', '.join(current)}"
            )
        current[part] = {}
    elif current[part] is None:
        current[part] = {}
    return part
