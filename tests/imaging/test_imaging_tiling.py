import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_kd.errors import UsageError
from sr_kd.imaging.runner import NetworkRunner
from sr_kd.imaging.tiling import spans, upscale_tiled
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks import NETWORKS, SRNetwork, Tap, build_network
from sr_kd.networks.foreign import ForeignNetwork
from sr_kd.networks.reach import measure_radius, trusted_radius

CPU = torch.device("cpu")


def networks() -> list[tuple[str, int, str]]:
    """Every super-resolution network of the package at every scale and color it offers."""
    return [("FSRCNN", scale, color) for scale in (2, 3, 4) for color in ("y", "rgb")] + [
        (name, scale, "rgb" if name == "CARN" else "y")
        for name in ("VDSR", "IDN", "CARN")
        if name in NETWORKS.names()
        for scale in (2, 3, 4)
    ]


@pytest.fixture(scope="module")
def random_network():
    """Networks with weights large enough that a seam would show, built once."""
    made: dict[tuple, SRNetwork] = {}

    def get(name: str, scale: int, color: str) -> SRNetwork:
        key = (name, scale, color)
        if key not in made:
            torch.manual_seed(0)
            network = build_network(name, scale=scale, color=color)
            for parameter in network.parameters():
                if parameter.ndim == 4:
                    torch.nn.init.kaiming_normal_(parameter, a=0.25)
            made[key] = network.eval()
        return made[key]

    return get


@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 40))
def test_spans_cover_an_axis_once_and_carry_their_radius(length, tile, radius):
    found = spans(length, tile, radius)
    assert [pixel for span in found for pixel in range(span.begin, span.end)] == list(range(length))
    assert len({span.stop - span.start for span in found}) == 1
    for span in found:
        assert span.end - span.begin <= tile
        assert 0 <= span.start <= max(span.begin - radius, 0)
        assert min(span.end + radius, length) <= span.stop <= length


@pytest.mark.parametrize(("name", "scale", "color"), networks())
@settings(max_examples=5, deadline=None)
@given(long=st.integers(1, 60), short=st.integers(1, 9), tile=st.integers(8, 40), wide=st.booleans())
def test_tiled_equals_whole(random_network, name, scale, color, long, short, tile, wide):
    network = random_network(name, scale, color)
    height, width = (short, long) if wide else (long, short)
    image = torch.rand(network.channels, height, width, generator=torch.Generator().manual_seed(tile))
    for precision, dtype, tolerance in (("fp64", torch.float64, 1e-12), ("fp32", torch.float32, 1e-5)):
        whole, pieces = (
            Upscaler(network, device="cpu", precision=precision, tile=side).run_network(image.to(dtype))
            for side in (0, tile)
        )
        assert whole.dtype == dtype and whole.shape == (network.channels, height * scale, width * scale)
        assert (pieces - whole).abs().max() <= tolerance * max(1, whole.abs().max())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_radius_is_not_larger_than_needed_by_much_nor_smaller(random_network, scale):
    network = random_network("FSRCNN", scale, "y").double()
    x = torch.rand(1, 1, 41, 41, dtype=torch.float64, requires_grad=True)
    center = network(x)[..., 20 * scale : 21 * scale, 20 * scale : 21 * scale]
    (gradient,) = torch.autograd.grad(center.sum(), x)
    reach = (gradient[0, 0].abs().sum(0) > 0).nonzero().flatten()
    exact = max(20 - int(reach.min()), int(reach.max()) - 20)
    assert exact <= network.receptive_radius <= exact + 1
    assert measure_radius(network.float(), 30) == exact
    assert measure_radius(network, 3) == 4  # farther than asked for


def test_a_network_that_declares_too_little_is_refused_before_tiles_rely_on_it(random_network):
    network = copy.deepcopy(random_network("FSRCNN", 2, "y"))
    network.receptive_radius = 3
    image = np.random.default_rng(0).random((40, 30))
    whole = Upscaler(network, device="cpu", tile=0).upscale(image)
    assert whole.shape == (80, 60)
    with pytest.raises(UsageError, match=r"FSRCNN declares receptive_radius = 3, but .* depend on pixels 8 away"):
        Upscaler(network, device="cpu", tile=16).upscale(image)


def test_taps_that_are_not_as_declared_are_refused_before_tiles_rely_on_them(random_network):
    network = copy.deepcopy(random_network("FSRCNN", 2, "y"))
    network.taps = {**network.taps, "mapping": Tap(3)}
    image = np.random.default_rng(0).random((40, 30))
    assert Upscaler(network, device="cpu", tile=0).upscale(image).shape == (80, 60)
    with pytest.raises(UsageError, match=r"declares Tap\(3, stride=1\) as 'mapping', but gives 12 channels"):
        Upscaler(network, device="cpu", tile=16).upscale(image)


@pytest.mark.parametrize(("name", "scale", "color"), networks())
def test_our_networks_are_as_declared(random_network, name, scale, color):
    trusted_radius(random_network(name, scale, color))
    trusted_radius(random_network(name, scale, color).deploy())


def test_the_radius_of_another_projects_network_is_measured(random_network):
    layers = [torch.nn.Conv2d(3, 3, 5, padding=2), torch.nn.PReLU(), torch.nn.Conv2d(3, 12, 3, padding=1)]
    network = ForeignNetwork(torch.nn.Sequential(*layers, torch.nn.PixelShuffle(2)), 2, receptive_radius=64).eval()
    assert trusted_radius(network) == 3
    image = np.random.default_rng(0).random((40, 30, 3)).astype(np.float32)
    whole, tiled = (Upscaler(network, device="cpu", tile=tile).upscale(image) for tile in (0, 16))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)
    pooled = torch.nn.Sequential(GlobalMean(), *layers, torch.nn.PixelShuffle(2))
    assert trusted_radius(ForeignNetwork(pooled, 2, receptive_radius=12).eval()) == 12  # no bound: what is declared


class GlobalMean(torch.nn.Module):
    """Adds the mean of the whole image to every pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.mean(dim=(2, 3), keepdim=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("tta", [False, True])
def test_tiles_differ_by_one_gray_level_at_most(random_network, dtype, tta):
    network = build_network("FSRCNN", scale=2, init="bicubic")
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (70, 53, 4), dtype, endpoint=True)
    whole = Upscaler(network, tile=0, tta=tta, device="cpu").upscale(image)
    tiled = Upscaler(network, tile=16, tta=tta, device="cpu").upscale(image)
    assert whole.dtype == dtype and whole.shape == (140, 106, 4)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batches_of_tiles(random_network, batch):
    runner = NetworkRunner(random_network("FSRCNN", 2, "y"), CPU, "fp64", tta=False)
    source = np.random.default_rng(0).random((50, 70, 1))
    options = {"scale": 2, "radius": runner.radius, "tile": 16, "device": CPU}
    calls = []
    one = upscale_tiled(runner, source, **options)
    many = upscale_tiled(runner, source, batch=batch, progress=lambda *done: calls.append(done), **options)
    np.testing.assert_allclose(many, one, rtol=0, atol=1e-12 * np.abs(one).max())
    assert calls[-1] == (20, 20) and len(calls) == -(-20 // batch)
