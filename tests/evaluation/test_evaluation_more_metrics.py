"""MS-SSIM, VIF, NIQE, LPIPS and DISTS against independent references, and how metrics are found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy import ndimage, signal
from skimage import data
from torch.nn import functional

from sr_kd.errors import UsageError
from sr_kd.evaluation.metrics import METRICS, find_metrics
from sr_kd.evaluation.metrics.perceptual import ALEXNET, VGG, dists_network, lpips_network
from sr_kd.images import read_image

LPIPS_LAYERS = (1, 4, 7, 9, 11)  # of AlexNet's features: the five ReLUs


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """A photograph and a distorted copy, (3, H, W) in 0..255."""
    clean = data.astronaut()[:190, :233].transpose(2, 0, 1).astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 6, clean.shape)
    return np.clip(np.rint(0.9 * ndimage.gaussian_filter(clean, (0, 1, 1)) + noise + 4), 0, 255), clean


def measured(name: str, image: np.ndarray, clean: np.ndarray) -> float:
    return METRICS.get(name)(*(torch.from_numpy(each).float() for each in (image, clean)))


def filtered(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    return signal.convolve2d(plane, window, mode="valid")


def gaussian(size: int, sigma: float) -> np.ndarray:
    along = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    window = np.outer(along, along)
    return window / window.sum()


def moments(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means, variances and the covariance in a window."""
    mx, my = filtered(x, window), filtered(y, window)
    return (mx, my, filtered(x * x, window) - mx**2, filtered(y * y, window) - my**2, filtered(x * y, window) - mx * my)


def numpy_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """As the paper's equation 7, for one channel."""
    c1, c2, result = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mx, my, vx, vy, vxy = moments(x, y, gaussian(11, 1.5))
        similarity = (2 * vxy + c2) / (vx + vy + c2)
        if scale == 4:
            similarity = similarity * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        result *= max(similarity.mean(), 0) ** weight
        x, y = (
            plane[: len(plane) // 2 * 2, : plane.shape[1] // 2 * 2].reshape(len(plane) // 2, 2, -1, 2).mean((1, 3))
            for plane in (x, y)
        )
    return result


def numpy_vif(image: np.ndarray, clean: np.ndarray) -> float:
    """As the authors' vifp_mscale.m, for one channel."""
    found = known = 0.0
    for scale in range(1, 5):
        size = 2 ** (4 - scale + 1) + 1
        window = gaussian(size, size / 5)
        if scale > 1:
            clean, image = filtered(clean, window)[::2, ::2], filtered(image, window)[::2, ::2]
        _, _, variance, other, covariance = moments(clean, image, window)
        variance, other = np.maximum(variance, 0), np.maximum(other, 0)
        gain = covariance / (variance + 1e-10)
        rest = other - gain * covariance
        gain[variance < 1e-10], rest[variance < 1e-10] = 0, other[variance < 1e-10]
        variance[variance < 1e-10] = 0
        gain[other < 1e-10], rest[other < 1e-10] = 0, 0
        rest[gain < 0], gain[gain < 0] = other[gain < 0], 0
        rest = np.maximum(rest, 1e-10)
        found += np.log10(1 + gain**2 * variance / (rest + 2)).sum()
        known += np.log10(1 + variance / 2).sum()
    return found / known


@pytest.mark.parametrize(("name", "reference"), [("ms_ssim", numpy_ms_ssim), ("vif", numpy_vif)])
def test_means_over_channels_of_the_papers_formula(images, name, reference):
    image, clean = images
    each = [reference(*planes) for planes in zip(image, clean, strict=True)]
    assert measured(name, image[:1], clean[:1]) == pytest.approx(each[0], abs=1e-6)
    if name == "vif":
        assert measured(name, image, clean) == pytest.approx(np.mean(each), abs=1e-6)
    assert measured(name, clean, clean) == pytest.approx(1, abs=1e-6)


def test_niqe_is_what_matlab_gives(shared_images: Path):
    """5.72957338: the authors' program for baboon.png, as BasicSR's documentation has it."""
    baboon = read_image(shared_images / "benchmark" / "Set14" / "baboon.png").pixels
    image = torch.from_numpy(baboon.copy()).permute(2, 0, 1).float()
    assert METRICS.get("niqe")(image, image) == pytest.approx(5.72957338, abs=1e-5)


@pytest.mark.filterwarnings("error")
def test_flat_images_have_no_niqe_and_no_vif():
    flat = torch.full((1, 200, 200), 90.0)
    assert math.isnan(METRICS.get("niqe")(flat, flat))
    assert math.isnan(METRICS.get("vif")(flat, flat))


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """PyTorch's folder of downloads, empty; nothing built from another one is remembered."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for network in (lpips_network, dists_network):
        network.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    for network in (lpips_network, dists_network):
        network.cache_clear()


def unit(feature: torch.Tensor) -> torch.Tensor:
    return feature / (feature.square().sum(1, keepdim=True) + 1e-8).sqrt()


def test_lpips_with_a_backbone_from_the_folder(images, weights_folder: Path):
    alexnet = torchvision.models.alexnet().eval()
    weights_folder.mkdir(parents=True)
    torch.save(alexnet.state_dict(), weights_folder / ALEXNET)
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    pair = [(torch.from_numpy(each).float()[None] / 127.5 - 1 - shift) / scale for each in images]
    lin, expected = lpips_network(), 0.0
    with torch.no_grad():
        for index, layer in enumerate(alexnet.features):
            pair = [layer(each) for each in pair]
            if index in LPIPS_LAYERS:
                weight = getattr(lin, f"lin{LPIPS_LAYERS.index(index)}").model[-1].weight
                difference = (unit(pair[0]) - unit(pair[1])) ** 2
                expected += float(functional.conv2d(difference, weight).mean())
    assert measured("lpips", *images) == pytest.approx(expected, rel=1e-4)
    assert measured("lpips", images[1], images[1]) == 0
    assert measured("lpips", images[0][:1], images[1][:1]) > 0  # gray, shown in three channels


def test_dists_with_a_backbone_from_the_folder(images, weights_folder: Path):
    vgg = torchvision.models.vgg16().eval()
    weights_folder.mkdir(parents=True)
    # The classifier's half gigabyte is not looked at: views of one number hold its place.
    state = {k: v if k.startswith("features") else torch.zeros(()).expand(v.shape) for k, v in vgg.state_dict().items()}
    torch.save(state, weights_folder / VGG)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    hann = torch.from_numpy(np.outer(*[np.hanning(5)[1:-1]] * 2)).float()
    hann = (hann / hann.sum())[None, None]
    stages = []
    for each in images:
        x = torch.from_numpy(each).float()[None] / 255
        found, x = [x], (x - mean) / deviation
        with torch.no_grad():
            for index, layer in enumerate(vgg.features[:30]):
                if isinstance(layer, torch.nn.MaxPool2d):  # the authors blur in its place
                    window = hann.expand(x.shape[1], 1, 3, 3)
                    x = (functional.conv2d(x**2, window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
                else:
                    x = layer(x)
                if index in (3, 8, 15, 22, 29):
                    found.append(x)
        stages.append(found)
    network, expected = dists_network().requires_grad_(False), 1.0
    total = float(network.alpha.sum() + network.beta.sum())
    start = 0
    for x, y in zip(*stages, strict=True):
        alpha, beta = (
            weights[:, start : start + x.shape[1]].flatten() / total for weights in (network.alpha, network.beta)
        )
        start += x.shape[1]
        x, y = x[0].double().flatten(1), y[0].double().flatten(1)
        mx, my = x.mean(1), y.mean(1)
        covariance = (x * y).mean(1) - mx * my
        texture = (2 * mx * my + 1e-6) / (mx**2 + my**2 + 1e-6)
        structure = (2 * covariance + 1e-6) / (x.var(1, correction=0) + y.var(1, correction=0) + 1e-6)
        expected -= float((alpha * texture).sum() + (beta * structure).sum())
    assert measured("dists", *images) == pytest.approx(expected, abs=1e-4)
    assert measured("dists", images[1], images[1]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("name", "file"), [("lpips", ALEXNET), ("dists", VGG)])
def test_missing_weights_are_named_with_their_place_and_not_downloaded(weights_folder: Path, name: str, file: str):
    with pytest.raises(UsageError, match=f"metric '{name}' needs the file {weights_folder / file}: put https://"):
        find_metrics([name], "rgb")
    assert not weights_folder.exists()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(UsageError, match=r"unknown metric 'pnsr' \(did you mean 'psnr'\?\); known: dists, lpips"):
        find_metrics(["pnsr"])
    with pytest.raises(UsageError, match=r"metric 'lpips' looks at RGB images, .* use protocol 'rgb'"):
        find_metrics(["lpips"], "y")
