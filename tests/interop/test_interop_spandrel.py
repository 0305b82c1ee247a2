"""spandrel detects our networks: every hyper-parameter varied, saved, detected, compared."""

from __future__ import annotations

import pytest
import spandrel
import torch

from sr_kd.errors import SrKdError
from sr_kd.images import read_image
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.interop.spandrel import install
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network
from sr_kd.zoo.manifest import shipped_models

install()


def check_detected(tmp_path, name: str, **arguments) -> None:
    """Saved, detected as itself, with the same arguments, weights, scale and results."""
    torch.manual_seed(0)
    network = build_network(name, **arguments).eval()
    save_network(tmp_path / "network.safetensors", network)
    descriptor = spandrel.ModelLoader().load_from_file(tmp_path / "network.safetensors")
    assert (descriptor.architecture.id, descriptor.purpose) == (f"sr_kd {name}", "SR")
    assert (descriptor.scale, descriptor.input_channels, descriptor.output_channels) == (network.scale, 3, 3)
    found = {key: value for key, value in descriptor.model.arguments.items() if key not in ("scale", "scales")}
    assert found == {key: value for key, value in network.arguments.items() if key not in ("scale", "scales")}
    weights = network.state_dict()
    assert weights.keys() == descriptor.model.state_dict().keys()
    assert all(torch.equal(value, weights[key]) for key, value in descriptor.model.state_dict().items())
    image = torch.rand(1, 3, 13, 18)
    expected = Upscaler(network, device="cpu").upscale(image)
    torch.testing.assert_close(descriptor(image), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"scale": 3},
        {"scale": 4},
        {"color": "rgb"},
        {"d": 32},
        {"s": 5},
        {"m": 1},
        {"slope_per_channel": True},
        {"skip": "bicubic"},
    ],
)
def test_fsrcnn(tmp_path, arguments):
    check_detected(tmp_path, "FSRCNN", **{"scale": 2, **arguments})


@pytest.mark.parametrize("arguments", [{}, {"scale": 3}, {"color": "rgb"}, {"layers": 5}, {"width": 16}])
def test_vdsr(tmp_path, arguments):
    check_detected(tmp_path, "VDSR", **{"scale": 2, "layers": 6, "width": 24, **arguments})


@pytest.mark.parametrize("arguments", [{}, {"scale": 3}, {"scale": 4}, {"color": "rgb"}])
def test_idn(tmp_path, arguments):
    check_detected(tmp_path, "IDN", **{"scale": 2, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [{}, {"scale": 3}, {"scale": 4}, {"color": "y"}, {"variant": "mobile"}, {"groups": 8}, {"skip": "bicubic"}],
)
def test_carn(tmp_path, arguments):
    mobile = {"variant": "mobile"} if "groups" in arguments else {}
    check_detected(tmp_path, "CARN", **{"scale": 2, **mobile, **arguments})


def test_a_photograph_keeps_its_colors(tmp_path, shared_images):
    """A network that does what a trained one does: the image as our upscaler makes it, to rounding."""
    save_network(tmp_path / "network.safetensors", build_network("FSRCNN", scale=2, init="bicubic"))
    pixels = read_image(shared_images / "benchmark/Set5/bird.png").pixels[:80, :100]
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    sr = spandrel.ModelLoader().load_from_file(tmp_path / "network.safetensors")(image)
    expected = Upscaler(load_network(tmp_path / "network.safetensors").network, device="cpu").upscale(image)
    torch.testing.assert_close(sr, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("FSRCNN", {"scale": 2}, "does not tell its scale"),
        ("CARN", {"scales": [2, 3], "variant": "mobile"}, "serves x2, x3"),
    ],
)
def test_an_open_scale_is_one_sentence(tmp_path, name, arguments, why):
    save_network(tmp_path / "network.pth", build_network(name, **arguments))
    with pytest.raises(SrKdError, match=f"this {name} file {why}: write one .* 'sr-kd export"):
        spandrel.ModelLoader().load_from_file(tmp_path / "network.pth")


def test_one_scale_of_several_is_exported_and_detected(tmp_path):
    from sr_kd.export.export import export_network

    network = build_network("CARN", scales=[2, 3], variant="mobile").for_scale(3)
    export_network(network, tmp_path / "network.safetensors")
    assert spandrel.ModelLoader().load_from_file(tmp_path / "network.safetensors").scale == 3


def test_installing_again_changes_nothing_and_the_others_are_still_detected(tmp_path):
    before = [support.architecture.id for support in spandrel.MAIN_REGISTRY]
    install()
    assert [support.architecture.id for support in spandrel.MAIN_REGISTRY] == before
    from spandrel.architectures.Compact import Compact

    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2)
    torch.save(network.state_dict(), tmp_path / "compact.pth")
    assert spandrel.ModelLoader().load_from_file(tmp_path / "compact.pth").architecture.id == "Compact"


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_are_detected(name):
    model = shipped_models()[name]
    descriptor = spandrel.ModelLoader().load_from_file(model.verified_file())
    assert descriptor.scale == model.scale
    assert descriptor.architecture.id.startswith("sr_kd ")
