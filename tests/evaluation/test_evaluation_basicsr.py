"""Metrics and resize against BasicSR's own functions, where BasicSR is installed."""

import numpy as np
import pytest
import torch
from skimage import data

from sr_kd.data.resize import imresize, make_lr, resize_pixels
from sr_kd.evaluation.benchmark import score_image
from sr_kd.evaluation.protocols import find_protocol, to_levels

pytestmark = pytest.mark.usefixtures("basicsr")


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("protocol", ["basicsr", "rgb"])
def test_psnr_and_ssim(channels: int, protocol: str) -> None:
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim

    hr = data.astronaut()[:180, 100:300, :channels]
    sr = resize_pixels(make_lr(hr, 2), (180, 200))
    found = score_image("astronaut", to_levels(sr), to_levels(hr), find_protocol(protocol), 2)
    luma = {"crop_border": 2, "test_y_channel": protocol == "basicsr"}
    assert found.psnr == pytest.approx(calculate_psnr(sr[..., ::-1], hr[..., ::-1], **luma), abs=1e-4)
    assert found.ssim == pytest.approx(calculate_ssim(sr[..., ::-1], hr[..., ::-1], **luma), abs=1e-5)


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 1 / 2, 2, 3])
def test_imresize(scale: float) -> None:
    from basicsr.utils.matlab_functions import imresize as reference

    image = data.astronaut()[:96, :144].astype(np.float32) / 255
    size = round(96 * scale), round(144 * scale)
    found = imresize(torch.from_numpy(image).permute(2, 0, 1), size)
    assert np.abs(found.permute(1, 2, 0).numpy() - reference(image, scale)).max() < 5e-6
