"""Values of the command line: what argparse calls for an argument, with a sentence for one that is not valid."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError


def number(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"'{text}' is not valid: give a finite positive number such as 2 or 1.5")
    return value


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"'{text}' is not valid: give a whole number from 1 on")
    return int(text)


def place(text: str) -> tuple[int, int]:
    """Left and top, as 120,64."""
    left, _, top = (part.strip() for part in text.partition(","))
    if not (left.isdecimal() and top.isdecimal()):
        raise ArgumentTypeError(f"'{text}' is not valid: write left and top, as in 120,64")
    return int(left), int(top)


def size(text: str) -> tuple[int, int]:
    """Width and height, as 1920x1080."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ArgumentTypeError(f"'{text}' is not valid: write width x height, as in 1920x1080")
    return int(width), int(height)
