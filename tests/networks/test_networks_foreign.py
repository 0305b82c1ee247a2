from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks import build_network
from sr_kd.networks.files import load_weights
from sr_kd.networks.foreign import ForeignNetwork


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.relu(self.conv1(x)))


class SmallEDSR(nn.Module):
    """In the style of the field: nested names, an in-place ReLU, a shared layer, a buffer, tokens."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 0.4))
        self.head = nn.Conv2d(channels, 8, 3, padding=1)
        self.body = nn.ModuleList([Block(), Block()])
        self.shared = nn.Identity()
        self.tokens = nn.Flatten(2)
        self.unused = nn.Conv2d(8, 8, 1)
        self.upsample = nn.Sequential(nn.Conv2d(8, 32, 3, padding=1), nn.PixelShuffle(2))
        self.tail = nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(x - self.mean)
        for block in self.body:
            x = self.shared(block(x))
        self.tokens(x)
        return self.tail(self.upsample(x)) + self.mean


TAPS = ["head", "body.0.conv1", "body.1", "upsample"]


def wrap(taps: list[str] | None = None, **more) -> ForeignNetwork:
    torch.manual_seed(0)
    return ForeignNetwork(SmallEDSR(), 2, "rgb", TAPS if taps is None else taps, **more)


def test_a_dry_run_finds_the_shapes() -> None:
    network = wrap()
    assert {name: (tap.channels, tap.stride, tap.cut) for name, tap in network.taps.items()} == {
        "head": (8, 1.0, False),
        "body.0.conv1": (8, 1.0, False),
        "body.1": (8, 1.0, False),
        "upsample": (8, 0.5, False),
    }
    assert (network.scale, network.color, network.channels) == (2, "rgb", 3)
    assert network.module.training


def test_features_are_the_modules_own_outputs() -> None:
    network = wrap()
    module, x = network.module, torch.rand(2, 3, 6, 5)
    sr, features = network.features(x, TAPS)
    assert torch.equal(sr, module(x))
    head = module.head(x - module.mean)
    assert torch.equal(features["head"], head)
    # The ReLU behind conv1 works in place; the tap still shows what conv1 gave.
    assert torch.equal(features["body.0.conv1"], module.body[0].conv1(head))
    assert bool((features["body.0.conv1"] < 0).any())
    assert features["upsample"].shape == (2, 8, 12, 10)


def test_gradients_pass_through_every_tap() -> None:
    network = wrap()
    _, features = network.features(torch.rand(1, 3, 6, 6), TAPS, output=False)
    sum(feature.square().mean() for feature in features.values()).backward()
    assert network.module.head.weight.grad is not None
    assert network.module.tail.weight.grad is None


def test_a_pass_without_output_stops_at_the_deepest_tap() -> None:
    network = wrap()
    ran: list[str] = []
    for name in ("head", "body.1", "tail"):
        network.module.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    sr, features = network.features(torch.rand(1, 3, 6, 6), ["head"], output=False)
    assert sr is None
    assert list(features) == ["head"]
    assert ran == ["head"]
    assert network.features(torch.rand(1, 3, 6, 6), [], output=False) == (None, {})


def test_hooks_are_gone_after_a_pass_and_after_a_failure() -> None:
    network = wrap()
    network.features(torch.rand(1, 3, 6, 6), TAPS)
    with pytest.raises(RuntimeError):
        network.features(torch.rand(1, 7, 6, 6), TAPS)
    assert not any(module._forward_hooks for module in network.module.modules())


def test_features_work_in_inference_mode() -> None:
    network = wrap().eval()
    with torch.inference_mode():
        sr, features = network.features(torch.rand(1, 3, 6, 6), TAPS)
    assert sr.shape == (1, 3, 12, 12)
    assert list(features) == TAPS


def test_it_is_its_module_under_the_same_names(tmp_path: Path) -> None:
    network = wrap()
    module = network.module
    assert list(network.state_dict()) == list(module.state_dict())
    assert [name for name, _ in network.named_parameters()] == [name for name, _ in module.named_parameters()]
    network.eval()
    assert not module.training
    assert not module.body[0].training
    network.double()
    assert module.tail.weight.dtype == module.mean.dtype == torch.float64
    twin = copy.deepcopy(network)
    twin.module.tail.weight.data.zero_()
    assert not bool(twin.state_dict()["tail.weight"].any())
    assert bool(module.tail.weight.any())
    torch.save({"params": SmallEDSR().state_dict()}, tmp_path / "edsr.pth")
    load_weights(network, tmp_path / "edsr.pth")
    torch.save({"params": SmallEDSR(1).state_dict()}, tmp_path / "gray.pth")
    with pytest.raises(SrKdError, match="of another shape: "):
        load_weights(network, tmp_path / "gray.pth")


def test_it_keeps_its_names_inside_another_module() -> None:
    outer = nn.ModuleDict({"student": wrap()})
    assert "student.body.0.conv1.weight" in outer.state_dict()
    state = {key: torch.zeros_like(value) for key, value in outer.state_dict().items()}
    outer.load_state_dict(state)
    assert not bool(outer["student"].module.head.weight.any())


def test_our_own_networks_can_be_wrapped_too() -> None:
    own = build_network("VDSR", scale=3, layers=5, width=8)
    network = ForeignNetwork(own, 3, "y", ["layers.2"])
    x = torch.rand(1, 1, 6, 6)
    assert network.taps["layers.2"].stride == pytest.approx(1 / 3)
    assert torch.equal(network(x), own(x))


@pytest.mark.parametrize(
    ("taps", "says"),
    [
        (["upsampler"], r"SmallEDSR has no module 'upsampler' \(did you mean 'upsample'\?\); it has head, body, "),
        (["body"], "tap 'body' of SmallEDSR is never called"),
        (["unused"], "tap 'unused' of SmallEDSR is never called"),
        (["shared"], r"'shared' of SmallEDSR gives \(1, 8, 48, 48\), 2 time\(s\)"),
        (["tokens"], r"gives \(1, 8, 2304\)"),
        ([""], "has no module ''"),
    ],
)
def test_impossible_taps_are_explained(taps: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        wrap(taps)


def test_networks_that_do_not_fit_are_explained() -> None:
    with pytest.raises(UsageError, match=r"makes \(1, 3, 96, 96\) of \(1, 3, 48, 48\), not \(1, 3, 192, 192\) \(x4\)"):
        ForeignNetwork(SmallEDSR(), 4)
    with pytest.raises(UsageError, match=r"does not accept a y image \(1, 1, 48, 48\): .*channels"):
        ForeignNetwork(nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)), 2, "y")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 4), (5, 5), (8, 16), (13, 30)])
def test_images_of_any_size_are_padded_to_what_the_module_takes(height: int, width: int) -> None:
    class Windowed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[2] % 8 == 0 and x.shape[3] % 8 == 0
            return nn.functional.interpolate(x, scale_factor=2)

    x = torch.rand(1, 3, height, width)
    y = ForeignNetwork(Windowed(), 2, multiple=8)(x)
    torch.testing.assert_close(y, nn.functional.interpolate(x, scale_factor=2))


def test_undeclared_taps_and_tails_are_refused() -> None:
    network = wrap()
    x = torch.rand(1, 3, 6, 6)
    with pytest.raises(UsageError, match=r"did you mean 'body\.1'"):
        network.features(x, ["body.2"])
    with pytest.raises(UsageError, match="does not carry everything downstream; cuts: none"):
        network.tail("head", x, x)
