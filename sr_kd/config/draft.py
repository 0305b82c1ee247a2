"""An option file on its way to the schema: sections are moved, and every move is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .origin import KeyPath


@dataclass
class Draft:
    """What the dialects work on.

    Attributes:
        data: nested options.
        moved: new path -> path as written.
        problems, notices: (path as written, sentence about that key).
    """

    data: dict[str, Any]
    moved: dict[KeyPath, KeyPath] = field(default_factory=dict)
    problems: list[tuple[KeyPath, str]] = field(default_factory=list)
    notices: list[tuple[KeyPath, str]] = field(default_factory=list)

    def section(self, *path: str | int) -> dict[str, Any]:
        """The mapping at a path; an empty one if it is missing or something else (the schema will say)."""
        value = self._at(path)
        return value if isinstance(value, dict) else {}

    def keys(self, *path: str | int) -> list[str | int]:
        """The keys of the mapping, or the indices of the list, at a path; none if it is something else."""
        value = self._at(path)
        return list(range(len(value))) if isinstance(value, list) else list(value) if isinstance(value, dict) else []

    def _at(self, path: KeyPath) -> Any:
        value: Any = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            else:
                value = value[part] if isinstance(value, list) and isinstance(part, int) else None
        return value

    def has(self, *path: str | int) -> bool:
        """Whether the key is written, even as null."""
        return path[-1] in self.section(*path[:-1])

    def take(self, *path: str | int) -> Any:
        """Remove a key and return its value; None if it is not written."""
        return self.section(*path[:-1]).pop(str(path[-1]), None)

    def put(self, path: KeyPath, value: Any, written: KeyPath) -> None:
        """Set a value (an existing one stays), making the sections above it."""
        section: Any = self.data
        for part in path[:-1]:
            section = section.setdefault(part, {}) if isinstance(section, dict) else section[part]
        section.setdefault(path[-1], value)
        self.moved[path] = written

    def move(self, old: KeyPath, new: KeyPath) -> None:
        """Move a key, if it is written and not null."""
        if self.has(*old):
            value = self.take(*old)
            if value is not None:
                self.put(new, value, old)
