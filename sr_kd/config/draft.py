"""An option file on its way to the schema: sections are moved, and every move is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .origin import Path


@dataclass
class Draft:
    """What the dialects work on.

    Attributes:
        data: nested options.
        moved: new path -> path as written.
        problems, notices: (path as written, sentence about that key).
    """

    data: dict[str, Any]
    moved: dict[Path, Path] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notices: list[tuple[Path, str]] = field(default_factory=list)

    def section(self, *path: str) -> dict[str, Any]:
        """The mapping at a path; an empty one if it is missing or something else (the schema will say)."""
        value: Any = self.data
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def has(self, *path: str) -> bool:
        """Whether the key is written, even as null."""
        return path[-1] in self.section(*path[:-1])

    def take(self, *path: str) -> Any:
        """Remove a key and return its value; None if it is not written."""
        return self.section(*path[:-1]).pop(path[-1], None)

    def put(self, path: Path, value: Any, written: Path) -> None:
        """Set a value (an existing one stays), making the sections above it."""
        section: Any = self.data
        for part in path[:-1]:
            section = section.setdefault(part, {})
        section.setdefault(path[-1], value)
        self.moved[path] = written

    def move(self, old: tuple[str, ...], new: Path) -> None:
        """Move a key, if it is written and not null."""
        if self.has(*old):
            value = self.take(*old)
            if value is not None:
                self.put(new, value, old)
