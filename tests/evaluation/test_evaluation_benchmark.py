"""Scores of networks on sets: golden numbers of published weights, sharing out, and refusals."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from sr_kd.data.resize import imresize, make_lr
from sr_kd.data.sets import ImageSet, open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.evaluation.benchmark import score_network
from sr_kd.evaluation.scores import ImageScore, SetScore, merge_scores
from sr_kd.images import Image, write_image
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.base import Color, SRNetwork
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small photographs, one of them gray, with sides that are no multiples of the scale."""
    root = tmp_path_factory.mktemp("photographs")
    write_image(root / "astronaut.png", Image(data.astronaut()[:81, :97]))
    write_image(root / "camera.png", Image(data.camera()[100:180, 200:301, None]))
    write_image(root / "coffee.png", Image(data.coffee()[50:140, 60:151]))
    return root


@pytest.fixture
def images(folder: Path) -> ImageSet:
    return open_set([str(folder)], scale=2)


class Bicubic(SRNetwork):
    """MATLAB's bicubic as a network, for several scales at once."""

    type_name = "Bicubic"

    def __init__(self, color: Color, scales: tuple[int, ...]) -> None:
        super().__init__()
        self.arguments = {"color": color, "scales": scales}
        self.color, self.taps, self.receptive_radius = color, {}, 2
        self._serve(scales)

    def _serve(self, scales: tuple[int, ...]) -> None:
        self.scales = scales

    def forward(self, x: Tensor) -> Tensor:
        return imresize(x, (x.shape[-2] * self.scale, x.shape[-1] * self.scale))


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize(("color", "protocol"), [("y", "yfloat"), ("rgb", "basicsr"), ("y", "rgb")])
def test_a_network_that_is_bicubic_scores_like_bicubic(folder: Path, scale: int, color: Color, protocol: str) -> None:
    images = open_set([str(folder)], scale=scale)
    own = score_network(Upscaler(Bicubic(color, (2, 3)), scale=scale), images, protocol=protocol)
    bicubic = score_network(Upscaler(None, scale=scale), images, protocol=protocol)
    assert [image.name for image in own.images] == ["astronaut", "camera", "coffee"]
    for found, expected in zip(own.images, bicubic.images, strict=True):
        tolerance = 0.05 if protocol == "rgb" else 1e-4  # there, only bicubic is rounded after each pass
        assert found.psnr == pytest.approx(expected.psnr, abs=tolerance)
        assert found.ssim == pytest.approx(expected.ssim, abs=tolerance)


# Scores that another program (NumPy) measured with these public weights.
PUBLIC = [
    ("CARN-M/carn_m.npz", "rgb8", 4, 31.88, 0.8910, False),
    ("CARN-M/carn_m.npz", "rgb8", 3, 34.06, 0.9248, True),
    ("CARN-M/carn_m.npz", "rgb8", 2, 37.68, 0.9595, True),
    ("VDSR-twtygqyy/model_epoch_50.npz", "yfloat", 2, 37.59, 0.9591, True),
    ("VDSR-twtygqyy/model_epoch_50.npz", "yfloat", 3, 33.75, 0.9226, True),
    ("VDSR-twtygqyy/model_epoch_50.npz", "yfloat", 4, 31.43, 0.8849, True),
]


@pytest.mark.parametrize(
    ("file", "protocol", "scale", "psnr", "ssim"),
    [pytest.param(*row, marks=[pytest.mark.slow] if slow else []) for *row, slow in PUBLIC],
)
def test_public_weights_on_set5(shared: Path, file: str, protocol: str, scale: int, psnr: float, ssim: float) -> None:
    network = load_network(shared / "weights" / file).network
    images = open_set([str(shared / "data" / "benchmark" / "Set5")], scale=scale)
    score = score_network(Upscaler(network, scale=scale), images, protocol=protocol)
    assert score.psnr == pytest.approx(psnr, abs=0.006)
    assert score.ssim == pytest.approx(ssim, abs=0.0001)


def test_shares_of_ranks_put_together_are_the_whole_to_the_last_bit(images: ImageSet) -> None:
    network = build_network("FSRCNN", init="bicubic", scale=2)
    whole = score_network(Upscaler(network, scale=2), images)
    for world_size in (2, 5):
        shares = [
            score_network(Upscaler(network, scale=2), images, rank=r, world_size=world_size) for r in range(world_size)
        ]
        assert merge_scores(shares) == whole


def test_what_is_measured_is_what_is_upscaled(images: ImageSet) -> None:
    """One way of an image: with the tiles, the precision and the self-ensemble of the model that is given."""
    network = build_network("FSRCNN", init="bicubic", scale=2, color="rgb")
    torch.nn.init.normal_(network.last_layer.bias, std=0.1)
    whole = score_network(Upscaler(network), images)
    for options in ({}, {"tile": 16}, {"tta": True}, {"precision": "bf16"}):
        upscaler = Upscaler(network, device="cpu", **options)
        kept: dict[str, np.ndarray] = {}
        score = score_network(upscaler, images, keep=kept.__setitem__)
        astronaut = images.names.index("astronaut")
        upscaled = upscaler.upscale(make_lr(images.read_hr(astronaut), 2))
        assert np.abs(kept["astronaut"].astype(int) - upscaled).max() <= 1  # halves are rounded otherwise
        difference = abs((score.psnr or 0) - (whole.psnr or 0))
        assert (difference < 1e-3) == (options.keys() <= {"tile"})


def test_the_network_is_left_as_it_was(images: ImageSet) -> None:
    network = build_network("FSRCNN", scale=2).train()
    before = copy.deepcopy(network.state_dict())
    score_network(Upscaler(network, scale=2), images)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_forward_pass_can_be_replaced_and_results_kept(images: ImageSet) -> None:
    network = build_network("FSRCNN", scale=2, color="rgb")

    def black(x: Tensor) -> Tensor:
        return torch.zeros(1, 3, 2 * x.shape[2], 2 * x.shape[3])

    kept: dict[str, np.ndarray] = {}
    score_network(Upscaler(network, forward=black), images, keep=kept.__setitem__)
    assert kept["astronaut"].shape == (80, 96, 3)
    assert kept["camera"].shape == (80, 100, 1)
    assert not any(image.any() for image in kept.values())


def test_a_luma_result_is_kept_in_color(images: ImageSet) -> None:
    kept: dict[str, np.ndarray] = {}
    network = build_network("FSRCNN", init="bicubic", scale=2)
    score_network(Upscaler(network, scale=2), images, keep=kept.__setitem__)
    hr = images.read_hr(0).astype(np.float64)
    assert kept["astronaut"].shape == hr.shape
    assert np.abs(kept["astronaut"] - hr)[8:-8, 8:-8].mean() < 8


def test_only_the_metrics_asked_for(images: ImageSet) -> None:
    score = score_network(Upscaler(None, scale=2), images, metrics=("psnr",))
    assert score.ssim is None
    assert score.psnr is not None


def test_refusals(images: ImageSet, folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown metric 'psn'"):
        score_network(Upscaler(None, scale=2), images, metrics=("psn",))
    with pytest.raises(UsageError, match="opened for x2, not x3"):
        score_network(Upscaler(None, scale=3), images)
    with pytest.raises(UsageError, match="FSRCNN serves x3, not x2"):
        Upscaler(build_network("FSRCNN", scale=3), scale=2)
    with pytest.raises(SrKdError, match="astronaut: the network gives 48x40 pixels, not 96x80"):
        score_network(Upscaler(build_network("FSRCNN", scale=2), forward=lambda x: x), images)
    with pytest.raises(SrKdError, match="not finite numbers"):
        diverged = build_network("FSRCNN", scale=2)
        torch.nn.init.constant_(diverged.last_layer.bias, math.nan)
        score_network(Upscaler(diverged, scale=2), images)


def test_an_image_too_small_for_the_window_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "tiny.png", Image(data.astronaut()[:14, :40]))
    tiny = open_set([str(tmp_path)], scale=2)
    with pytest.raises(SrKdError, match=r"tiny \(40x14\) is too small"):
        score_network(Upscaler(None, scale=2), tiny)
    assert score_network(Upscaler(None, scale=2), tiny, metrics=("psnr",)).psnr is not None


def test_identical_images_do_not_poison_the_mean(tmp_path: Path) -> None:
    write_image(tmp_path / "flat.png", Image(np.full((32, 32, 3), 90, np.uint8)))
    write_image(tmp_path / "photograph.png", Image(data.astronaut()[:32, :32]))
    score = score_network(Upscaler(None, scale=2), open_set([str(tmp_path)], scale=2))
    assert score.images[0].psnr == math.inf
    assert score.left_out("psnr") == 1
    assert score.psnr == score.images[1].psnr
    assert SetScore("flat", 2, "rgb8", score.images[:1]).psnr == math.inf


def test_merging_keeps_the_sets_order() -> None:
    images = tuple(ImageScore(str(n), {"psnr": float(n)}) for n in range(7))
    shares = [SetScore("set", 2, "rgb8", images[rank::3]) for rank in range(3)]
    assert merge_scores(shares).images == images
