import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sr_kd
from sr_kd.imaging.borders import keep_flat


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_pixel_is_repaired_where_all_that_it_depends_on_has_one_color(data):
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    radius, scale, channels = (
        data.draw(st.integers(1, 5)),
        data.draw(st.integers(1, 3)),
        data.draw(st.sampled_from([1, 3])),
    )
    source = np.full((height, width, channels), 7, data.draw(st.sampled_from([np.uint8, np.uint16, np.float32])))
    for _ in range(data.draw(st.integers(0, 4))):
        source[data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = data.draw(
            st.integers(0, 9)
        )
    upscaled = np.full((height * scale, width * scale, channels), 99, source.dtype)
    keep_flat(source, upscaled, radius)
    for y in range(height):
        for x in range(width):
            near = source[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            border = min(y, x, height - 1 - y, width - 1 - x) < radius
            block = upscaled[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale]
            assert (block == (source[y, x] if border and (near == near[0, 0]).all() else 99)).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flat_images_stay_flat_and_margins_do(scale, dtype):
    model = sr_kd.load_model(f"fsrcnn_x{scale}", device="cpu", tile=16)
    peak = np.iinfo(dtype).max
    for level in (0, peak // 8, peak):
        for channels in (1, 3):
            flat = model.upscale(np.full((40, 44, channels), level, dtype))
            # Of 16 bits: what the network errs inside, too, a quarter of a level of 255.
            assert np.abs(flat.astype(int) - level).max() <= peak // 1_000
    page = np.full((60, 60, 1), peak, dtype)
    page[30:34, 30:34] = 0
    assert model.upscale(page)[: 7 * scale].min() == peak
