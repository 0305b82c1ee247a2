from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_kd.data.resize import imresize
from sr_kd.errors import UsageError
from sr_kd.networks import build_network
from sr_kd.networks.bicubic import cubic, shifted_upscale_kernels, upscale, upscale_by_convolution, upscale_reach

SCALES = (2, 3, 4)


def pillow(x: torch.Tensor, scale: float) -> torch.Tensor:
    """An independent bicubic (a = -0.5, antialiased when shrinking) of (1, C, H, W), in float32."""
    size = (round(x.shape[3] * scale), round(x.shape[2] * scale))
    planes = [Image.fromarray(plane.float().numpy()).resize(size, Image.Resampling.BICUBIC) for plane in x[0]]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None]


def inside(x: torch.Tensor, border: int) -> torch.Tensor:
    return x[..., border:-border, border:-border]


def test_cubic_interpolates_and_sums_to_one() -> None:
    t = torch.linspace(-3, 3, 601, dtype=torch.float64)
    values = cubic(t)
    assert values[300] == 1
    assert bool((values[t.abs() >= 2] == 0).all())
    assert float(cubic(torch.tensor(1.0))) == 0
    shifts = torch.arange(-3, 4, dtype=torch.float64)[:, None]
    torch.testing.assert_close(cubic(t[250:350] + shifts).sum(0), torch.ones(100, dtype=torch.float64))


@given(height=st.integers(1, 12), width=st.integers(1, 12), scale=st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_upscaling_is_imresize(height: int, width: int, scale: int) -> None:
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    expected = imresize(x, (height * scale, width * scale))
    torch.testing.assert_close(upscale(x, scale), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(upscale_by_convolution(x, scale), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", SCALES)
def test_upscaling_agrees_with_pillow_inside_the_border(scale: int) -> None:
    x = torch.rand(1, 2, 14, 11)
    torch.testing.assert_close(inside(upscale(x, scale), 2 * scale), inside(pillow(x, scale), 2 * scale))


def test_upscaling_has_the_right_gradient() -> None:
    x = torch.rand(1, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: upscale(value, 3), x)


@pytest.mark.parametrize("function", [upscale, upscale_by_convolution])
def test_upscaling_exports_with_free_sizes(function: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    class UpscaleWindow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x, 3)

    sizes = {"x": {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}}
    exported = torch.export.export(UpscaleWindow(), (torch.rand(1, 1, 5, 6),), dynamic_shapes=sizes).module()
    x = torch.rand(1, 1, 9, 14)
    assert torch.equal(exported(x), function(x, 3))


@pytest.mark.parametrize("scale", SCALES)
def test_the_reach_of_bicubic(scale: int) -> None:
    x = torch.rand(1, 1, 1, 11, requires_grad=True)
    (gradient,) = torch.autograd.grad(upscale(x, scale)[..., 5 * scale : 6 * scale].square().sum(), x)
    used = gradient.flatten().nonzero().flatten() - 5
    assert int(used.abs().max()) == upscale_reach(scale) == 2


@pytest.mark.parametrize(("scale", "narrow", "error"), [(2, 12, 1e-5), (3, 12, 1e-5), (4, 12, 1e-3), (4, 16, 1e-5)])
def test_fsrcnn_can_start_as_bicubic(scale: int, narrow: int, error: float) -> None:
    network = build_network("FSRCNN", scale=scale, s=narrow, init="bicubic").eval()
    carriers = min(len(shifted_upscale_kernels(scale)), narrow)
    x = torch.rand(1, 1, 16, 15)
    expected = inside(upscale(x, scale), 4 * scale)
    with torch.no_grad():
        torch.testing.assert_close(inside(network(x), 4 * scale), expected, rtol=0, atol=0.2)
        network.last_layer.weight[carriers:] = 0  # the other channels' small random kernels
        torch.testing.assert_close(inside(network(x), 4 * scale), expected, rtol=0, atol=error)


def test_a_narrow_fsrcnn_holds_what_it_can_of_bicubic() -> None:
    network = build_network("FSRCNN", scale=2, d=3, s=2, m=1, color="rgb", init="bicubic")
    x = torch.rand(1, 3, 12, 12)
    error = inside(network(x) - upscale(x, 2), 8).abs().amax(dim=(0, 2, 3))
    assert bool((error[:2] < 0.05).all())  # two of three colors fit
    assert bool(error[2] > 0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"type": "VDSR", "layers": 5, "width": 8},
        {"type": "VDSR", "layers": 5, "width": 8, "color": "rgb"},
        {"type": "IDN"},
        {"type": "FSRCNN", "skip": "bicubic"},
        {"type": "FSRCNN", "skip": "bicubic", "color": "rgb", "d": 8, "s": 4, "m": 1},
        {"type": "CARN", "skip": "bicubic", "variant": "mobile"},
    ],
)
@pytest.mark.parametrize("scale", SCALES)
def test_residual_networks_start_as_bicubic_exactly(options: dict, scale: int) -> None:
    network = build_network(**options, scale=scale, init="bicubic")
    x = torch.rand(1, network.channels, 6, 7)
    assert torch.equal(network(x), upscale(x, scale))
    torch.testing.assert_close(network(x), imresize(x, (6 * scale, 7 * scale)))


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({}, 3),
        ({"color": "y"}, 2),
        ({"variant": "mobile"}, 2),
        ({"variant": "mobile"}, 4),
        ({"variant": "mobile", "groups": 2}, 4),
        ({"variant": "mobile", "groups": 1}, 2),
        ({"variant": "mobile", "scales": [2, 3, 4]}, 3),
    ],
)
def test_carn_starts_as_bicubic_inside_the_border(options: dict, scale: int) -> None:
    network = build_network("CARN", scale=scale, init="bicubic", **options).for_scale(scale)
    x = torch.rand(1, network.channels, 12, 13)
    x[..., 5:7, 5:7] = torch.tensor([0.0, 1.0])  # an edge that bicubic overshoots
    expected = upscale(x, scale)
    assert float(expected.detach().min()) < 0
    torch.testing.assert_close(inside(network(x), 4 * scale), inside(expected, 4 * scale), rtol=0, atol=2e-6)


def test_carn_without_room_refuses_bicubic() -> None:
    with pytest.raises(UsageError, match="groups up to 7"):
        build_network("CARN", scale=2, variant="mobile", groups=8, init="bicubic")
    with pytest.raises(UsageError, match="image as input"):
        build_network("CARN", scale=2, input_channels=6, init="bicubic")


@pytest.mark.parametrize("scale", SCALES)
def test_the_hourglass_can_start_as_the_antialiased_bicubic(scale: int) -> None:
    encoder = build_network("Hourglass", scale=scale, init="bicubic").eval()
    hr = torch.rand(1, 1, 12 * scale, 13 * scale)
    with torch.no_grad():
        compact = encoder(hr)
    torch.testing.assert_close(inside(compact, 3), inside(pillow(hr, 1 / scale), 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"color": "rgb"}, {"k": 2}, {"s": 8}, {"d": 16}])
def test_an_hourglass_without_room_refuses_bicubic(options: dict) -> None:
    with pytest.raises(UsageError, match="can hold bicubic only with"):
        build_network("Hourglass", scale=2, init="bicubic", **options)


@pytest.mark.parametrize("type_name", ["FSRCNN", "VDSR", "IDN", "Hourglass"])
def test_kaiming_keeps_signals_alive(type_name: str) -> None:
    network = build_network(type_name, scale=2, init="kaiming")
    biases = [value for key, value in network.named_parameters() if key.endswith("bias")]
    assert all(bool((bias == 0).all()) for bias in biases)
    x = torch.rand(1, 1, 32, 32)
    feature = network(x) if type_name == "Hourglass" else network.features(x, network.taps)[1].popitem()[1]
    assert 0.01 < float(feature.detach().std()) < 10


def test_unknown_initializations_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown initialization of CARN 'bicubik' \(did you mean 'bicubic'\?\)"):
        build_network("CARN", scale=2, init="bicubik")
    with pytest.raises(UsageError, match="known: bicubic, default, kaiming"):
        build_network("Hourglass", scale=2, init="zero")
