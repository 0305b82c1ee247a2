"""Errors for people: every message says what was found, where, what is allowed and what to do.

The command line turns an :class:`SrKdError` into one line on standard error and its exit code; a
traceback therefore always means a defect in this package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SrKdError(Exception):
    """Work that could not be done: an unreadable file, a set that does not match, a diverged run."""

    exit_code = 1


class UsageError(SrKdError):
    """A wrong command line, option file or argument; nothing was started."""

    exit_code = 2


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor or change its colors, as the name of a file may, is escaped.

    >>> printable("a\x1b[31m.png")
    'a\\\\x1b[31m.png'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def printable_lines(text: str) -> str:
    """As `printable`, of a text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def in_words(error: BaseException) -> str:
    """Kind and text of what another's code raised, in one line; its text may fail, too."""
    kind = type(error).__name__
    try:
        return " ".join(f"{kind}: {error}".split())
    except Exception:
        return kind


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint like ``" (did you mean 'expanding'?)"``, or an empty string when nothing is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f" (did you mean '{lowered[matches[0]]}'?)" if matches else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in a closed set, with the nearest and all allowed names."""
    names = sorted(known)
    return UsageError(f"unknown {kind} '{name}'{nearest(name, names)}; known: {', '.join(names) or 'none'}")
