import re

import pytest

from sr_kd.errors import UsageError
from sr_kd.imaging.sizing import Sizing


@pytest.mark.parametrize(
    ("sizing", "expected"),
    [
        (Sizing(), None),
        (Sizing(factor=1.5), (150, 300)),
        (Sizing(width=300), (150, 300)),
        (Sizing(height=120), (120, 240)),
        (Sizing(width=77, height=33), (33, 77)),
        (Sizing(fit=(300, 300)), (150, 300)),
        (Sizing(fit=(1000, 120)), (120, 240)),
        (Sizing(factor=0.001), (1, 1)),
    ],
)
def test_sizes(sizing, expected):
    assert sizing.size(100, 200) == expected


@pytest.mark.parametrize(
    "options", [{"factor": 2, "width": 5}, {"fit": (5, 5), "height": 5}, {"factor": 0}, {"width": -1}, {"fit": (0, 5)}]
)
def test_wishes_that_make_no_sense(options):
    with pytest.raises(UsageError):
        Sizing(**options)


@pytest.mark.parametrize(("factor", "word"), [(float("inf"), "inf"), (float("nan"), "nan"), (-1, "-1"), (1e6, "1e+06")])
def test_sizes_are_finite_positive_numbers(factor, word):
    with pytest.raises(UsageError, match=re.escape(f"a finite positive number below 1,000,000; this one is {word}")):
        Sizing(factor=factor)
