"""Which size a result shall have."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError

LARGEST = 1_000_000


@dataclass(frozen=True)
class Sizing:
    """A wish for the size of results: a factor, a width, a height, both, or a box to fit in.

    Raises:
        UsageError: wishes that are not positive or exclude one another.

    >>> Sizing(fit=(100, 100)).size(height=50, width=200)
    (25, 100)
    """

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None  # (width, height)

    def __post_init__(self) -> None:
        numbers = (self.factor, self.width, self.height, *(self.fit or ()))
        for number in numbers:
            if number is not None and not 0 < number < LARGEST:
                raise UsageError(
                    f"a size or factor must be a finite positive number below {LARGEST:,}; this one is {number:g}"
                )
        kinds = (self.factor is not None) + (self.width is not None or self.height is not None) + (self.fit is not None)
        if kinds > 1:
            raise UsageError("a factor, --width / --height and --fit exclude one another: give one of them")

    def size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) of the result for an image of this size; None: what the model gives."""
        if self.factor is not None:
            return _rounded(height * self.factor, width * self.factor)
        if self.fit is not None:
            factor = min(self.fit[0] / width, self.fit[1] / height)
            return _rounded(height * factor, width * factor)
        if self.width is not None and self.height is not None:
            return self.height, self.width
        if self.width is not None:
            return _rounded(height * self.width / width, self.width)
        if self.height is not None:
            return _rounded(self.height, width * self.height / height)
        return None


def _rounded(height: float, width: float) -> tuple[int, int]:
    return max(1, round(height)), max(1, round(width))
