"""PSNR and SSIM against scikit-image, and their laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sr_kd.errors import UsageError
from sr_kd.evaluation.metrics import psnr, ssim


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """A photograph and a distorted copy, (H, W, 3) in 0..255."""
    clean = data.astronaut()[:181, :233].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 6, clean.shape)
    return clean, np.clip(np.rint(0.9 * clean + noise + 4), 0, 255)


def tensor(image: np.ndarray, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_psnr_equals_scikit_image(images: tuple[np.ndarray, np.ndarray], dtype: torch.dtype) -> None:
    clean, noisy = images
    expected = peak_signal_noise_ratio(clean, noisy, data_range=255)
    assert psnr(tensor(noisy, dtype), tensor(clean, dtype)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-6)])
def test_ssim_equals_scikit_image_where_the_window_fits(
    images: tuple[np.ndarray, np.ndarray], dtype: torch.dtype, tolerance: float
) -> None:
    clean, noisy = images
    _, local = structural_similarity(
        clean,
        noisy,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    expected = local[5:-5, 5:-5].mean()
    assert ssim(tensor(noisy, dtype), tensor(clean, dtype)) == pytest.approx(expected, abs=tolerance)


def test_float32_keeps_its_digits_in_flat_bright_regions() -> None:
    rng = np.random.default_rng(1)
    clean = np.full((64, 64, 1), 250.0)
    noisy = clean + rng.integers(-1, 2, clean.shape)
    exact = ssim(tensor(noisy), tensor(clean))
    assert ssim(tensor(noisy, torch.float32), tensor(clean, torch.float32)) == pytest.approx(exact, abs=1e-5)


def test_identical_images(images: tuple[np.ndarray, np.ndarray]) -> None:
    clean = tensor(images[0], torch.float32)
    assert psnr(clean, clean.clone()) == math.inf
    assert ssim(clean, clean.clone()) == 1


@given(st.floats(0.5, 60), st.floats(1, 1000))
def test_psnr_of_a_constant_error(error: float, peak: float) -> None:
    reference = torch.zeros(1, 4, 5, dtype=torch.float64)
    assert psnr(reference + error, reference, peak) == pytest.approx(20 * math.log10(peak / error))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_both_are_symmetric_and_scale_with_the_peak(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 1, 16, 14, generator=generator, dtype=torch.float64)
    for metric in (psnr, ssim):
        assert metric(a, b, 1.0) == pytest.approx(metric(b, a, 1.0), abs=1e-12)
        assert metric(255 * a, 255 * b) == pytest.approx(metric(a, b, 1.0), abs=1e-9)
    assert ssim(a, b, 1.0) <= 1


def test_what_cannot_be_compared_is_refused() -> None:
    image = torch.zeros(1, 12, 12)
    with pytest.raises(UsageError, match="different sizes"):
        psnr(image, image[..., :11])
    with pytest.raises(UsageError, match="floating-point"):
        psnr(image.byte(), image.byte())
    with pytest.raises(UsageError, match="11x11"):
        ssim(image[..., :10], image[..., :10])
