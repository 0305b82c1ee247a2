"""Degraded LR patches: each operation against an independent computation, and the laws of the whole."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data

from sr_kd.data.color import rgb_to_y
from sr_kd.data.degradation import Degradation, blur_kernel, compressed, degrade, generator_of, noise
from sr_kd.data.degraded import DegradedPatches
from sr_kd.data.patches import open_patches
from sr_kd.data.resize import make_lr
from sr_kd.data.sampler import PatchSampler
from sr_kd.data.sets import open_set

CPU = torch.device("cpu")
NEVER = dict.fromkeys(("blur_prob", "anisotropic_prob", "noise_prob", "gaussian_noise_prob", "gray_noise_prob"), 0)
NOTHING = Degradation(
    **NEVER, jpeg_prob=0, blur_sigma=(1, 1), resize_kernels=["area"], noise_range=(0, 0), poisson_scale_range=(0, 0)
)
ALL = Degradation(resize_kernels=["area", "bilinear", "bicubic", "matlab_bicubic"])
PHOTOGRAPH = data.astronaut()[100:196, 180:276]


def replace(options, **changes):
    return options.model_copy(update=changes)


def random(index: int = 0) -> np.random.Generator:
    return generator_of(0, "student", 7, index)


@given(
    side=st.integers(1, 20),
    scale=st.integers(2, 4),
    channels=st.sampled_from([1, 3]),
    index=st.integers(0, 2**32),
    iteration=st.integers(0, 2**40),
)
@settings(max_examples=100, deadline=None)
def test_a_patch_of_any_size_is_a_function_of_seed_iteration_and_index(side, scale, channels, index, iteration):
    hr = np.random.default_rng(side).integers(0, 256, (side * scale, side * scale, channels), np.uint8)
    one, other = (degrade(hr, scale, ALL, generator_of(3, "student", iteration, index)) for _ in range(2))
    assert one.shape == (side, side, channels) and one.dtype == np.uint8
    assert np.array_equal(one, other)


def test_patches_of_other_seeds_streams_iterations_and_places_differ():
    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1)]
    noisy = replace(NOTHING, noise_prob=1, noise_range=(10, 10), gaussian_noise_prob=1)
    made = {degrade(PHOTOGRAPH, 4, noisy, generator_of(*key)).tobytes() for key in keys}
    assert len(made) == len(keys)


@pytest.mark.parametrize("kernel", ["area", "matlab_bicubic"])
def test_without_any_other_operation_a_patch_is_only_shrunk(kernel):
    found = degrade(PHOTOGRAPH, 4, replace(NOTHING, resize_kernels=(kernel,)), random())
    if kernel == "matlab_bicubic":
        assert np.array_equal(found, make_lr(PHOTOGRAPH, 4))
    else:
        means = PHOTOGRAPH.reshape(24, 4, 24, 4, 3).mean((1, 3))
        assert np.abs(found - means).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_an_isotropic_kernel_is_a_gaussian(sigma):
    kernel = blur_kernel(replace(NOTHING, blur_sigma=(sigma, sigma)), random())
    radius = len(kernel) // 2
    impulse = np.zeros(kernel.shape)
    impulse[radius, radius] = 1
    np.testing.assert_allclose(kernel, gaussian_filter(impulse, sigma, radius=radius, mode="constant"), atol=1e-6)


@given(index=st.integers(0, 10**6), low=st.floats(0.8, 3), width=st.floats(0, 2))
@settings(max_examples=50, deadline=None)
def test_the_widths_of_a_kernel_stay_in_their_range(index, low, width):
    kernel = blur_kernel(replace(NOTHING, blur_sigma=(low, low + width), anisotropic_prob=1), random(index))
    radius = len(kernel) // 2
    places = np.stack(np.mgrid[-radius : radius + 1, -radius : radius + 1]).reshape(2, -1)
    widths = np.sqrt(np.linalg.eigvalsh((kernel.reshape(-1) * places) @ places.T))
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert low * 0.95 <= widths[0] and widths[1] <= (low + width) * 1.02  # cut off at three deviations


@pytest.mark.parametrize("gray", [0, 1])
def test_gaussian_noise_has_its_deviation(gray):
    options = replace(NOTHING, gaussian_noise_prob=1, noise_range=(10, 10), gray_noise_prob=gray)
    made = noise(np.full((200, 200, 3), 128, np.float32), options, random())
    assert made.shape[2] == (1 if gray else 3)
    assert made.std() == pytest.approx(10, rel=0.02) and abs(made.mean()) < 0.2


@given(index=st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_deviation_of_noise_stays_in_its_range(index):
    options = replace(NOTHING, gaussian_noise_prob=1, noise_range=(5, 15))
    assert 4.7 < noise(np.zeros((64, 64, 3), np.float32), options, random(index)).std() < 15.8


def test_poisson_noise_grows_with_the_light():
    options = replace(NOTHING, poisson_scale_range=(2, 2))
    for level in (0, 16, 200):
        made = noise(np.full((200, 200, 3), level, np.float32), options, random())
        assert made.std() == pytest.approx(2 * level**0.5, rel=0.02, abs=1e-9)


@pytest.mark.parametrize("quality", [30, 90])
def test_jpeg_is_that_of_pillow(quality):
    file = io.BytesIO()
    PIL.Image.fromarray(PHOTOGRAPH).save(file, "JPEG", quality=quality)
    theirs = np.asarray(PIL.Image.open(file)).astype(int)
    ours = compressed(PHOTOGRAPH, quality)
    assert np.abs(ours - theirs).mean() < 0.5 < np.abs(ours.astype(int) - PHOTOGRAPH).mean()
    gray = PHOTOGRAPH[..., :1]
    assert compressed(gray, quality).shape == gray.shape


def test_every_order_occurs():
    """JPEG before shrinking and behind it."""
    options = replace(NOTHING, jpeg_prob=1, jpeg_range=(10, 10))
    made = {degrade(PHOTOGRAPH, 4, options, random(index)).tobytes() for index in range(64)}
    assert len(made) == 2


@pytest.fixture(scope="module")
def sources():
    """``sources(color, streamed)``: patches of photographs, degraded and not."""
    images = open_set("scikit-image:train", scale=2)

    def make(
        color: str, budget: float = 4.0, rank: int = 0, processes: int = 1
    ) -> tuple[DegradedPatches, DegradedPatches]:
        sampler = PatchSampler(images.lr_sizes, 16, 6, seed=5, stream="student", share=(rank, processes))
        opened = [
            open_patches(images, sampler, color=each, device=CPU, memory_budget_gib=budget) for each in ("rgb", color)
        ]
        degraded = DegradedPatches(
            opened[0], ALL, scale=2, color=color, first=6 * rank // processes, sampler=sampler, device=CPU
        )
        return degraded, opened[1]

    return make


@pytest.mark.parametrize("color", ["rgb", "y"])
def test_a_batch_has_the_plain_hr_and_degraded_lr(sources, color):
    degraded, plain = sources(color)
    lr, hr = degraded.batch(3)
    assert torch.equal(hr, plain.batch(3)[1])
    rgb = sources("rgb")[1].batch(3)[1]
    for index, patch in enumerate((rgb * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        expected = torch.from_numpy(degrade(patch, 2, ALL, generator_of(5, "student", 3, index))).permute(2, 0, 1) / 255
        expected = expected if color == "rgb" else rgb_to_y(expected[None])[0]
        torch.testing.assert_close(lr[index], expected, rtol=0, atol=1e-7)
    degraded.close()


def test_order_memory_and_processes_do_not_matter(sources):
    whole = sources("rgb")[0]
    shares = [sources("rgb", 0.001, rank, 2)[0] for rank in (0, 1)]
    batches = {iteration: whole.batch(iteration) for iteration in (0, 1, 2, 7)}
    for iteration in (7, 1, 2):
        for rank, streamed in enumerate(shares):
            for part, expected in zip(streamed.batch(iteration), batches[iteration], strict=True):
                assert torch.equal(part, expected[3 * rank : 3 * rank + 3])
    for source in (whole, *shares):
        source.close()
