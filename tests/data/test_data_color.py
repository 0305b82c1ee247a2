"""BT.601 against scikit-image, and the laws of the conversions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import color, data

from sr_kd.data.color import gray_to_y, rgb_to_y, rgb_to_ycbcr, y_to_gray, ycbcr_to_rgb
from sr_kd.errors import UsageError


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return data.astronaut()


def test_ycbcr_equals_scikit_image(photograph: np.ndarray) -> None:
    expected = color.rgb2ycbcr(photograph)
    rgb = torch.from_numpy(photograph / 255.0).permute(2, 0, 1)
    found = 255 * rgb_to_ycbcr(rgb).permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 1e-9


def test_y_is_the_first_channel_in_both_precisions(photograph: np.ndarray) -> None:
    rgb = torch.from_numpy(photograph / 255.0).permute(2, 0, 1)[None]
    assert torch.equal(rgb_to_y(rgb), rgb_to_ycbcr(rgb)[:, :1])
    assert torch.allclose(rgb_to_y(rgb.float()).double(), rgb_to_y(rgb), atol=1e-6, rtol=0)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_back_and_forth(values: list[float]) -> None:
    rgb = torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1)
    assert torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-12, rtol=0)


@given(st.floats(0, 1))
def test_gray_is_an_rgb_of_three_equal_channels(value: float) -> None:
    gray = torch.full((1, 1, 1), value, dtype=torch.float64)
    assert torch.allclose(gray_to_y(gray), rgb_to_y(gray.expand(3, 1, 1)), atol=1e-12, rtol=0)
    assert torch.allclose(y_to_gray(gray_to_y(gray)), gray, atol=1e-12, rtol=0)


def test_limited_range() -> None:
    white, black = torch.ones(3, 1, 1, dtype=torch.float64), torch.zeros(3, 1, 1, dtype=torch.float64)
    assert 255 * rgb_to_y(white).item() == pytest.approx(235)
    assert 255 * rgb_to_y(black).item() == pytest.approx(16)


def test_wrong_channel_count_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs \(\.\.\., 3, H, W\)"):
        rgb_to_y(torch.zeros(1, 1, 4, 4))
