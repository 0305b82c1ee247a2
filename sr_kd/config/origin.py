"""Where each option was written, so that messages can name file, line and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]
Problem = tuple[KeyPath, str]  # (path in the recipe, sentence about that key)


def dotted(path: KeyPath) -> str:
    """``("phases", "student", "losses", 1, "weight")`` as ``phases.student.losses[1].weight``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


@dataclass(frozen=True)
class Origin:
    """The way back from a recipe's keys to the user's.

    Attributes:
        places: path as written -> "FILE:LINE", or the override that set it.
        moved: path in the recipe -> path as written, for sections that the dialects name differently.
    """

    places: Mapping[KeyPath, str] = field(default_factory=dict)
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)

    def written(self, path: KeyPath) -> KeyPath:
        """The path in the user's file of a path in the recipe."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.moved:
                return self.moved[path[:length]] + path[length:]
        return path

    def sentence(self, path: KeyPath, problem: str) -> str:
        """``FILE:LINE: key 'a.b' <problem>``; a key that was not written stands for its section."""
        written = self.written(path)
        known = self._known(written)
        text = f"key '{dotted(written)}' {problem}" if written else problem
        return f"{self.places[known]}: {text}" if known is not None else text

    def report(self, problems: Iterable[tuple[KeyPath, str]]) -> str:
        """The sentences of several problems, a line each, in the order of the file."""
        position = {path: index for index, path in enumerate(self.places)}
        ordered = sorted(problems, key=lambda item: position.get(self._known(self.written(item[0])) or (), -1))
        lines = list(dict.fromkeys(self.sentence(*item) for item in ordered))
        return "\n".join(lines if len(lines) == 1 else [f"{len(lines)} problems", *lines])

    def _known(self, written: KeyPath) -> KeyPath | None:
        """The longest part of a path whose place is known."""
        lengths = range(len(written), -1, -1)
        return next((written[:length] for length in lengths if written[:length] in self.places), None)
