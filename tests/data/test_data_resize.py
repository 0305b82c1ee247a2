"""MATLAB's imresize against a literal transcription of its definition, and its laws."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from crops import mod_crop
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from sr_kd.data import resize
from sr_kd.data.resize import imresize, make_lr, resize_pixels
from sr_kd.data.resize_runs import runs
from sr_kd.errors import UsageError


def keys(t: float) -> float:
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0


def resize_line(line: np.ndarray, size: int) -> np.ndarray:
    """The definition, one sample at a time, on a line that is mirrored as far as the kernel reaches."""
    scale = size / len(line)
    shrink = min(scale, 1.0)
    reach = math.ceil(2 / shrink) + 1
    mirrored = np.pad(line, reach, mode="symmetric")
    result = np.empty(size)
    for i in range(size):
        center = (i + 0.5) / scale - 0.5
        nearby = range(math.floor(center) - reach + 1, math.floor(center) + reach)
        weights = [shrink * keys(shrink * (center - j)) for j in nearby]
        values = [mirrored[j + reach] for j in nearby]
        result[i] = np.dot(weights, values) / sum(weights)
    return result


@settings(deadline=None, max_examples=40)
@given(st.integers(5, 400), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_a_line_equals_the_definition(length: int, size: int, seed: int) -> None:
    line = np.random.default_rng(seed).uniform(0, 255, length)
    expected = resize_line(line, size)
    assert np.abs(imresize(torch.from_numpy(line)[None], (1, size))[0].numpy() - expected).max() < 1e-9
    assert np.abs(imresize(torch.from_numpy(line)[:, None], (size, 1))[:, 0].numpy() - expected).max() < 1e-9


@pytest.mark.parametrize("factor", ["1/2", "1/3", "1/4", "5/8", "2", "3"])
def test_regular_factors_repeat_their_weights(factor: str) -> None:
    """All but the borders is one batch of products, and equal to the definition."""
    length = 480
    size = int(length * Fraction(factor))
    line = np.random.default_rng(0).uniform(0, 255, length)
    found = runs(length, size, size / length, 4, torch.float64, torch.device("cpu"))
    assert max(run.count * run.band.shape[0] for run in found) > 0.8 * size
    assert np.abs(imresize(torch.from_numpy(line)[None], (1, size))[0].numpy() - resize_line(line, size)).max() < 1e-9


@pytest.mark.parametrize("size", [(256, 512), (171, 341), (77, 101), (700, 1300), (3, 2)])
def test_strips_join(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """In tiny strips and parts of rows as in one piece."""
    pixels = np.tile(data.astronaut(), (1, 2, 1))
    whole = resize_pixels(pixels, size)
    planes = imresize(torch.from_numpy(pixels[..., 0].astype(np.float64)), size)
    for name in ("STRIP", "LARGEST_STRIP", "SEEN"):
        monkeypatch.setattr(resize, name, 2**13)
    assert np.array_equal(resize_pixels(pixels, size), whole)
    again = imresize(torch.from_numpy(pixels[..., 0].astype(np.float64)), size)
    assert (again - planes).abs().max() < 1e-10


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.03, 2.0])
def test_a_scale_beside_the_size(scale: float) -> None:
    """The size says how many samples are made, the scale where they lie."""
    line = torch.rand(480, dtype=torch.float64)
    shorter, longer = (imresize(line[None], (1, size), scale=(1.0, scale))[0] for size in (4, 9))
    assert torch.allclose(shorter, longer[:4], atol=1e-12)
    whole = imresize(line[None], (1, round(480 * scale) + 4), scale=(1.0, scale))[0]
    assert torch.allclose(shorter, whole[:4], atol=1e-12)


def test_autocast_leaves_it_alone() -> None:
    image = torch.rand(1, 96, 160)
    with torch.autocast("cpu", torch.bfloat16):
        cast = imresize(image, (48, 80)), imresize(image, (192, 320))
    assert torch.equal(cast[0], imresize(image, (48, 80)))
    assert torch.equal(cast[1], imresize(image, (192, 320)))


@pytest.mark.parametrize("size", [(120, 90), (700, 33), (1, 1)])
def test_layouts_that_arrays_may_have(size: tuple[int, int]) -> None:
    """Read-only, not contiguous, of the other byte order."""
    pixels = data.astronaut()[:240, :180]
    expected = resize_pixels(pixels.copy(), size)
    locked = pixels.copy()
    locked.flags.writeable = False
    wider = np.concatenate([pixels, pixels], axis=2)
    for other in (locked, wider[..., :3], np.asfortranarray(pixels), pixels[::-1].copy()[::-1]):
        assert np.array_equal(resize_pixels(other, size), expected)
    samples = (pixels / 255).astype(np.float32)
    swapped = resize_pixels(samples.astype(">f4"), size)
    assert np.array_equal(swapped, resize_pixels(samples, size))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floating_point_images_are_clamped(kind: type) -> None:
    edge = np.zeros((6, 16, 1), kind)
    edge[:, 8:] = 1
    upscaled = resize_pixels(edge, (12, 64))
    assert upscaled.dtype == kind
    assert (upscaled.min(), upscaled.max()) == (0, 1)
    assert resize_pixels(edge, (6, 16)) is edge


@pytest.mark.parametrize("size", [(75, 5), (50, 21), (170, 64)])
def test_both_axes_equal_the_definition(size: tuple[int, int]) -> None:
    image = data.camera()[:150, :16].astype(np.float64)
    rows = np.apply_along_axis(resize_line, 0, image, size[0])
    expected = np.apply_along_axis(resize_line, 1, rows, size[1])
    found = imresize(torch.from_numpy(image), size).numpy()
    assert np.abs(found - expected).max() < 1e-9


@pytest.mark.parametrize(
    ("scale", "single"), [((1, 2), True), ((1, 4), True), ((2, 1), True), ((1, 3), False), ((5, 7), False)]
)
def test_pixels_are_resized_as_planes_in_double_precision_are(scale: tuple[int, int], single: bool) -> None:
    """Interleaved channels, and float32 where it is exact, change no pixel."""
    pixels = data.astronaut()[:280, 40:460]
    height, width = pixels.shape[:2]
    size = height * scale[0] // scale[1], width * scale[0] // scale[1]
    assert all(resize.short(*lengths) is single for lengths in ((height, size[0]), (width, size[1])))
    planes = torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)
    expected = imresize(planes, size, levels=255).permute(1, 2, 0).numpy()
    assert np.array_equal(resize.resize_pixels(pixels, size), expected)


def test_leading_axes_are_independent_images() -> None:
    batch = torch.rand(2, 3, 24, 36, dtype=torch.float64)
    together = imresize(batch, (12, 18))
    assert together.shape == (2, 3, 12, 18)
    for n in range(2):
        for c in range(3):
            assert torch.equal(together[n, c], imresize(batch[n, c], (12, 18)))


def test_rounding_happens_after_each_pass_height_first() -> None:
    image = torch.from_numpy(data.camera()[:60, :60].astype(np.float64))
    height_only = torch.floor(imresize(image, (20, 60)) + 0.5).clamp(0, 255)
    expected = torch.floor(imresize(height_only, (20, 20)) + 0.5).clamp(0, 255)
    assert torch.equal(imresize(image, (20, 20), levels=255), expected)
    once = torch.floor(imresize(image, (20, 20)) + 0.5).clamp(0, 255)
    assert not torch.equal(expected, once)


def test_ties_go_up_and_overshoot_is_clamped() -> None:
    assert imresize(torch.tensor([[1.0, 2.0]]), (1, 1), levels=255).item() == 2
    edge = torch.zeros(1, 16)
    edge[:, 8:] = 255
    upscaled = imresize(edge, (1, 64), levels=255)
    assert upscaled.min() == 0
    assert upscaled.max() == 255


def test_float32_is_close_to_float64() -> None:
    image = torch.from_numpy(data.camera().astype(np.float64))
    for size in ((171, 171), (1024, 1024)):
        assert (imresize(image.float(), size).double() - imresize(image, size)).abs().max() < 1e-3


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_make_lr(scale: int, kind: type) -> None:
    hr = mod_crop((data.astronaut()[:200, :301].astype(np.uint32) * (np.iinfo(kind).max // 255)).astype(kind), scale)
    lr = make_lr(hr, scale)
    assert lr.dtype == kind
    assert lr.shape == (hr.shape[0] // scale, hr.shape[1] // scale, 3)
    column = torch.from_numpy(hr[..., 1].astype(np.float64))
    assert np.array_equal(lr[..., 1], imresize(column, lr.shape[:2], levels=int(np.iinfo(kind).max)).numpy())


def test_a_constant_image_stays_constant() -> None:
    pixels = np.full((12, 18, 1), 77, np.uint8)
    assert (resize_pixels(pixels, (5, 50)) == 77).all()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(UsageError, match="floating-point"):
        imresize(torch.zeros(4, 4, dtype=torch.uint8), (2, 2))
    with pytest.raises(UsageError, match="at least 1"):
        imresize(torch.zeros(4, 4), (0, 2))
    with pytest.raises(UsageError, match="10x9 pixels is no multiple of scale 2"):
        make_lr(np.zeros((9, 10, 3), np.uint8), 2)
    with pytest.raises(UsageError, match="8 or 16 bits"):
        resize_pixels(np.zeros((9, 10, 3), np.int32), (3, 3))
    with pytest.raises(UsageError, match="sides must be at least 1"):
        resize_pixels(np.zeros((9, 10, 3), np.uint8), (0, 3))
    with pytest.raises(UsageError, match="8 or 16 bits; got float32"):
        make_lr(np.zeros((8, 10, 3), np.float32), 2)
