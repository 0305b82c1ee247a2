"""The protocols against the published bicubic scores, and rule by rule."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import color, data
from torch import Tensor

from sr_kd.data.resize import make_lr, resize_pixels
from sr_kd.data.sets import open_set
from sr_kd.errors import UsageError
from sr_kd.evaluation.benchmark import score_network
from sr_kd.evaluation.protocols import find_protocol, quantize, to_levels, to_pixels
from sr_kd.images import Image, write_image
from sr_kd.imaging.upscaler import Upscaler

# PSNR and SSIM of bicubic, (set, scale) -> yfloat, rgb8: the table that comes with the images, made by
# another program; it agrees with the tables of DRRN, VDSR and EDSR within their two decimals.
BICUBIC = {
    ("Set5", 2): ((33.661, 0.9299), (33.673, 0.9303)),
    ("Set5", 3): ((30.392, 0.8682), (30.403, 0.8689)),
    ("Set5", 4): ((28.421, 0.8104), (28.429, 0.8111)),
    ("Set14", 2): ((30.232, 0.8687), (30.230, 0.8691)),
    ("Set14", 3): ((27.541, 0.7736), (27.537, 0.7745)),
    ("Set14", 4): ((26.000, 0.7019), (25.994, 0.7029)),
    ("B100", 2): ((29.558, 0.8431), (29.560, 0.8434)),
    ("B100", 3): ((27.207, 0.7384), (27.209, 0.7391)),
    ("B100", 4): ((25.961, 0.6674), (25.961, 0.6681)),
    ("Urban20", 2): ((26.594, 0.8442), (26.595, 0.8447)),
    ("Urban20", 3): ((24.241, 0.7420), (24.240, 0.7430)),
    ("Urban20", 4): ((22.964, 0.6658), (22.962, 0.6672)),
}


@pytest.mark.parametrize(
    ("name", "scale"),
    [pytest.param(*key, marks=[] if key[0].startswith("Set") else [pytest.mark.slow]) for key in BICUBIC],
)
def test_bicubic_scores_are_the_published_ones(shared_images: Path, name: str, scale: int) -> None:
    images = open_set([str(shared_images / "benchmark" / name)], scale=scale)
    for protocol, (psnr, ssim) in zip(("yfloat", "rgb8"), BICUBIC[name, scale], strict=True):
        score = score_network(Upscaler(None, scale=scale), images, protocol=protocol)
        assert score.psnr == pytest.approx(psnr, abs=0.001)
        assert score.ssim == pytest.approx(ssim, abs=0.0001)


@pytest.fixture
def colorful() -> Tensor:
    return to_levels(data.astronaut()[:96, :120])


@pytest.fixture
def gray() -> Tensor:
    return to_levels(data.camera()[:96, :120, None])


def nearest_neighbor(scale: int = 2) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    """What repeats pixels as a network would, and the list of what it was shown."""
    seen: list[Tensor] = []

    def forward(x: Tensor) -> Tensor:
        seen.append(x)
        return x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)

    return forward, seen


def test_rgb8_shows_an_rgb_network_the_8_bit_lr(colorful: Tensor) -> None:
    rule = find_protocol("rgb8")
    hr, lr = rule.prepare(colorful, None, 2)
    assert np.array_equal(to_pixels(lr), make_lr(to_pixels(colorful), 2))
    network, seen = nearest_neighbor()
    sr = rule.upscale(lr, (96, 120), "rgb", network)
    assert torch.allclose(seen[0].double(), lr / 255, atol=1e-7)
    image, reference = rule.compared(sr, hr)
    expected = color.rgb2ycbcr(to_pixels(sr))[..., 0]
    assert np.abs(image[0].numpy() - expected).max() < 1e-4
    assert np.abs(reference[0].numpy() - color.rgb2ycbcr(to_pixels(colorful))[..., 0]).max() < 1e-4


def test_rgb8_shows_a_y_network_unrounded_luma_and_rounds_its_output(colorful: Tensor) -> None:
    rule = find_protocol("rgb8")
    hr, lr = rule.prepare(colorful, None, 2)
    network, seen = nearest_neighbor()
    sr = rule.upscale(lr, (96, 120), "y", network)
    luma = color.rgb2ycbcr(to_pixels(lr))[..., 0]
    assert np.abs(255 * seen[0][0].numpy() - luma).max() < 1e-4
    assert np.abs(luma - np.rint(luma)).max() > 0.1
    assert np.array_equal(sr[0, ::2, ::2].numpy(), np.floor(luma + 0.5).astype(np.float32))
    _, reference = rule.compared(sr, hr)
    assert not torch.equal(reference, reference.round())


def test_bicubic_is_rounded_after_each_pass_under_rgb8_and_once_under_basicsr(colorful: Tensor) -> None:
    _, lr = find_protocol("rgb8").prepare(colorful, None, 2)
    twice = find_protocol("rgb8").upscale(lr, (96, 120), None, nearest_neighbor()[0])
    once = find_protocol("basicsr").upscale(lr, (96, 120), None, nearest_neighbor()[0])
    assert np.array_equal(to_pixels(twice), resize_pixels(to_pixels(lr), (96, 120)))
    assert torch.equal(once, once.round())
    assert 0 < (twice != once).float().mean() < 0.3


def test_yfloat_keeps_lr_in_floating_point(colorful: Tensor) -> None:
    rule = find_protocol("yfloat")
    hr, lr = rule.prepare(colorful, None, 2)
    assert torch.equal(hr, hr.round())
    assert hr.shape == (1, 96, 120)
    assert not torch.equal(lr, lr.round())
    sr = rule.upscale(lr, (96, 120), None, nearest_neighbor()[0])
    assert torch.equal(sr, sr.round())


def test_basicsr_measures_a_y_network_against_8_bit_luma(colorful: Tensor) -> None:
    rule = find_protocol("basicsr")
    hr, lr = rule.prepare(colorful, None, 2)
    sr = rule.upscale(lr, (96, 120), "y", nearest_neighbor()[0])
    _, reference = rule.compared(sr, hr)
    assert torch.equal(reference, reference.round())
    _, unrounded = rule.compared(rule.upscale(lr, (96, 120), None, nearest_neighbor()[0]), hr)
    assert not torch.equal(unrounded, unrounded.round())


def test_rgb_gives_a_y_network_bicubic_chroma(colorful: Tensor) -> None:
    rule = find_protocol("rgb")
    hr, lr = rule.prepare(colorful, None, 2)
    sr = rule.upscale(lr, (96, 120), "y", nearest_neighbor()[0])
    image, reference = rule.compared(sr, hr)
    assert image.shape == reference.shape == (3, 96, 120)
    # Whatever the luma, the mean color of a 2x2 block stays near the LR pixel's.
    means = sr.reshape(3, 48, 2, 60, 2).mean(dim=(2, 4))
    assert (means - lr).abs().mean() < 4


@pytest.mark.parametrize("protocol", ["rgb8", "yfloat", "basicsr", "rgb"])
def test_a_gray_image_is_its_own_luma(gray: Tensor, protocol: str) -> None:
    rule = find_protocol(protocol)
    hr, lr = rule.prepare(gray, None, 2)
    assert torch.equal(hr, gray)
    network, seen = nearest_neighbor()
    sr = rule.upscale(lr, (96, 120), "y", network)
    assert torch.allclose(seen[0].double(), lr / 255, atol=1e-7)
    image, reference = rule.compared(sr, hr)
    assert torch.equal(reference.double(), gray)
    assert image.shape == (1, 96, 120)


@pytest.mark.parametrize("protocol", ["rgb8", "basicsr", "rgb"])
def test_an_rgb_network_sees_gray_in_three_channels_and_their_mean_counts(gray: Tensor, protocol: str) -> None:
    rule = find_protocol(protocol)
    hr, lr = rule.prepare(gray, None, 2)
    plain, seen = nearest_neighbor()
    tint = torch.tensor([0.03, 0.0, -0.06]).reshape(3, 1, 1)
    image, _ = rule.compared(rule.upscale(lr, (96, 120), "rgb", lambda x: plain(x) + tint), hr)
    assert seen[0].shape[0] == 3
    expected = quantize((lr + 255 * tint.mean()).float())
    assert (image[:, ::2, ::2] - expected).abs().max() <= 1e-3


def test_a_gray_hr_stays_gray_with_colored_lr_files(tmp_path: Path) -> None:
    hr = data.camera()[:96, :120, None]
    lr = make_lr(hr, 2)
    write_image(tmp_path / "hr" / "camera.png", Image(hr))
    write_image(tmp_path / "lr" / "camerax2.png", Image(np.repeat(lr, 3, axis=2)))
    own = open_set([str(tmp_path / "hr")], scale=2)
    with_files = open_set([str(tmp_path / "hr")], scale=2, dataroot_lq=[str(tmp_path / "lr")])
    bicubic = Upscaler(None, scale=2)
    assert score_network(bicubic, with_files).images == score_network(bicubic, own).images


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"unknown protocol 'rbg8'.*did you mean 'rgb8'"):
        find_protocol("rbg8")
    with pytest.raises(UsageError, match="for an RGB network use 'rgb8'"):
        find_protocol("yfloat").check("rgb", lr_from_files=False)
    with pytest.raises(UsageError, match="leave LR out"):
        find_protocol("yfloat").check("y", lr_from_files=True)
