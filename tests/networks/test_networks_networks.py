"""Laws that hold for every super-resolution network."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sr_kd.errors import UsageError
from sr_kd.networks import SRNetwork, build_network
from sr_kd.networks.bicubic import upscale
from sr_kd.networks.complexity import count_multiply_adds, count_parameters

SCALES = (2, 3, 4)
NETWORKS: dict[str, dict[str, Any]] = {
    "FSRCNN": {"type": "FSRCNN"},
    "FSRCNN-rgb": {"type": "FSRCNN", "color": "rgb", "d": 20, "s": 6, "m": 2, "slope_per_channel": True},
    "FSRCNN-skip": {"type": "FSRCNN", "skip": "bicubic"},
    "FSRCNN-skip-rgb": {"type": "FSRCNN", "skip": "bicubic", "color": "rgb", "d": 20, "s": 6, "m": 2},
    "VDSR": {"type": "VDSR", "layers": 7, "width": 16},
    "VDSR-multi": {"type": "VDSR", "layers": 5, "width": 8, "scales": [2, 3, 4]},
    "IDN": {"type": "IDN"},
    "CARN": {"type": "CARN"},
    "CARN-M": {"type": "CARN", "variant": "mobile"},
    "CARN-M-multi": {"type": "CARN", "variant": "mobile", "scales": [2, 3, 4]},
    "CARN-M-skip": {"type": "CARN", "variant": "mobile", "skip": "bicubic", "scales": [2, 3]},
    "CARN-y": {"type": "CARN", "variant": "mobile", "color": "y", "groups": 2},
}
SMALL = ("FSRCNN", "FSRCNN-rgb", "FSRCNN-skip-rgb", "VDSR", "VDSR-multi")
every_network = pytest.mark.parametrize("name", NETWORKS)
every_case = pytest.mark.parametrize(
    ("name", "scale"),
    [
        *((name, scale) for name in ("FSRCNN", "FSRCNN-skip", "VDSR", "IDN") for scale in SCALES),
        ("FSRCNN-rgb", 3),
        ("FSRCNN-skip-rgb", 2),
        ("VDSR-multi", 2),
        ("CARN", 2),
        ("CARN-M", 3),
        ("CARN-M-multi", 4),
        ("CARN-M-skip", 3),
        ("CARN-y", 4),
    ],
)


def build(name: str, scale: int, **more: Any) -> SRNetwork:
    torch.manual_seed(scale)
    network = build_network(scale=scale, **{**NETWORKS[name], **more})
    assert isinstance(network, SRNetwork)
    return network.for_scale(scale).eval()


def image(network: SRNetwork, height: int = 7, width: int = 6, **kind: Any) -> torch.Tensor:
    return torch.rand(2, network.channels, height, width, **kind)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        *(({"type": "FSRCNN", "scale": scale}, 12_644) for scale in SCALES),
        *(({"type": "Hourglass", "scale": scale}, 86_084) for scale in SCALES),
        *(({"type": "Hourglass", "scale": scale, "color": "rgb"}, 89_102) for scale in SCALES),
        *(({"type": "VDSR", "scale": scale}, 664_704) for scale in SCALES),
        *(({"type": "IDN", "scale": scale}, 552_769) for scale in SCALES),
        ({"type": "CARN", "scale": 2}, 964_163),
        ({"type": "CARN", "scale": 3}, 1_148_803),
        ({"type": "CARN", "scale": 4}, 1_111_875),
        ({"type": "CARN", "scale": 2, "variant": "mobile"}, 257_027),
        ({"type": "CARN", "scale": 3, "variant": "mobile"}, 303_427),
        ({"type": "CARN", "scale": 4, "variant": "mobile"}, 294_147),
        # The published counts include 24 constants of the mean shift, which is no parameter here.
        ({"type": "CARN", "scales": [2, 3, 4]}, 1_591_963 - 24),
        ({"type": "CARN", "scales": [2, 3, 4], "variant": "mobile"}, 414_811 - 24),
    ],
)
def test_parameter_counts_are_the_published_ones(options: dict, count: int) -> None:
    assert count_parameters(build_network(**options)) == count


@pytest.mark.parametrize(("scale", "giga"), [(2, 2.87), (3, 1.28), (4, 0.72)])
def test_fsrcnn_multiply_adds_for_a_720p_output(scale: int, giga: float) -> None:
    side = 960 // scale // 10  # 960 x 960 pixels are as many as 1280 x 720; a tenth of either side
    operations = 100 * count_multiply_adds(build_network("FSRCNN", scale=scale), (1, 1, side, side))
    assert round(operations / 1e9, 2) == giga


@every_case
def test_output_and_taps_have_the_promised_shapes(name: str, scale: int) -> None:
    network = build(name, scale)
    x = image(network)
    sr, features = network.features(x, network.taps)
    assert sr is not None
    assert sr.shape == (2, network.channels, 7 * scale, 6 * scale)
    assert list(features) == list(network.taps)
    for tap, feature in features.items():
        described = network.taps[tap]
        assert feature.shape == (2, described.channels, round(7 / described.stride), round(6 / described.stride))


@every_case
def test_the_tail_continues_from_every_cut(name: str, scale: int) -> None:
    network = build(name, scale)
    x = image(network)
    sr = network(x)
    taps = dict(network.taps)
    assert any(tap.cut for tap in taps.values())
    for tap, described in taps.items():
        feature = network.features(x, [tap], output=False)[1][tap]
        if described.cut:
            assert torch.equal(network.tail(tap, feature, x), sr)
        else:
            with pytest.raises(UsageError, match=f"'{tap}'.*cuts: "):
                network.tail(tap, feature, x)


@given(height=st.integers(1, 9), width=st.integers(1, 9), name=st.sampled_from([*SMALL, "IDN"]))
@settings(max_examples=25, deadline=None)
def test_the_tail_law_holds_for_any_size(height: int, width: int, name: str) -> None:
    network = build(name, 3)
    x = image(network, height, width)
    sr, features = network.features(x, [tap for tap, value in network.taps.items() if value.cut])
    for tap, feature in features.items():
        assert torch.equal(network.tail(tap, feature, x), sr)


@every_network
def test_tapped_tensors_survive_the_rest_of_the_pass(name: str) -> None:
    network = build(name, 2)
    x = image(network)
    before = x.clone()
    _, together = network.features(x, network.taps)
    assert torch.equal(x, before)
    for tap in network.taps:
        sr, alone = network.features(x, [tap], output=False)
        assert sr is None
        assert torch.equal(together[tap], alone[tap])


@every_network
def test_a_pass_without_output_stops_at_the_deepest_tap(name: str) -> None:
    network = build(name, 2)
    first, *_, last = network.taps
    ran: list[str] = []
    stages = network.stages()

    def recording(stage: str, run):
        def recorded(state, context):
            ran.append(stage)
            return run(state, context)

        return recorded

    network.stages = lambda: [(stage, recording(stage, run)) for stage, run in stages]  # type: ignore[method-assign]
    network.features(image(network), [first], output=False)
    assert ran == [first]
    ran.clear()
    network.features(image(network), [last, first], output=False)
    assert ran == list(network.taps)


@every_case
def test_deployed_networks_are_equal_up_to_rounding(name: str, scale: int) -> None:
    network = build(name, scale)
    state = copy.deepcopy(network.state_dict())
    x = image(network, 9, 8)
    deployed = network.deploy()
    assert not deployed.training
    torch.testing.assert_close(deployed(x), network(x), rtol=0, atol=1e-5)
    wide = network.double().deploy()
    torch.testing.assert_close(wide(x.double()), network(x.double()), rtol=0, atol=1e-12)
    again = wide.deploy()
    assert torch.equal(again(x.double()), wide(x.double()))
    for parameter in deployed.parameters():
        parameter.data.fill_(7)
    assert all(torch.equal(value.float(), state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["FSRCNN", "IDN"])
def test_deployment_replaces_transposed_convolutions(name: str) -> None:
    deployed = build(name, 2).deploy()
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in deployed.modules())


@pytest.mark.parametrize("horizontal", [True, False])
@every_case
def test_the_receptive_radius_is_exact(name: str, scale: int, horizontal: bool) -> None:
    network = build(name, scale).double()
    if "kaiming" in network.initializations():
        network.initialize("kaiming")
    radius = network.receptive_radius
    center, length = radius + 2, 2 * radius + 5
    shape = (3, length) if horizontal else (length, 3)
    x = image(network, *shape, dtype=torch.float64)[:1].requires_grad_()
    sr = network(x)
    start = center * scale
    seen = sr[..., start : start + scale] if horizontal else sr[..., start : start + scale, :]
    (gradient,) = torch.autograd.grad((seen * torch.rand_like(seen)).sum(), x)
    used = gradient.ne(0).any(dim=-2 if horizontal else -1).flatten(0, 1).any(dim=0).nonzero().flatten()
    assert int((used - center).abs().max()) == radius


@every_case
def test_every_parameter_gets_a_gradient(name: str, scale: int) -> None:
    network = build(name, scale)
    network(image(network)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.ne(0).any()), key


@every_case
def test_a_state_dict_fits_a_second_network(name: str, scale: int) -> None:
    network = build(name, scale)
    second = build_network(network.type_name, **network.arguments).eval()
    second.load_state_dict(network.state_dict())
    x = image(network)
    assert torch.equal(second.for_scale(scale)(x), network(x))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["VDSR-multi", "CARN-M-multi", "CARN-M-skip"])
class TestSeveralScales:
    def whole(self, name: str) -> SRNetwork:
        network = build_network(**NETWORKS[name])
        assert isinstance(network, SRNetwork)
        return network

    def test_a_view_shares_its_parameters(self, name: str) -> None:
        network = self.whole(name)
        whole = {id(parameter) for parameter in network.parameters()}
        served = network.scales
        for scale in served:
            view = network.for_scale(scale)
            assert view.scales == (scale,)
            assert {id(parameter) for parameter in view.parameters()} <= whole
            assert view.for_scale(scale) is view
        assert network.scales == served
        assert len(whole) == len(list(network.parameters()))

    def test_a_view_rebuilds_as_a_single_scale_network(self, name: str) -> None:
        view = self.whole(name).for_scale(3)
        single = build_network(view.type_name, **view.arguments)
        assert single.state_dict().keys() == view.state_dict().keys()
        alone = build_network(**{**NETWORKS[name], "scales": []}, scale=3)
        assert count_parameters(view) == count_parameters(alone)

    def test_the_whole_asks_for_a_scale(self, name: str) -> None:
        network = self.whole(name)
        with pytest.raises(UsageError, match=r"serves x2, x3.*: choose one"):
            network(image(network))

    def test_other_scales_are_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"serves x2, x3.*, not x5"):
            self.whole(name).for_scale(5)

    def test_training_a_view_trains_the_whole(self, name: str) -> None:
        network = self.whole(name)
        view = network.for_scale(2)
        view(image(view)).mean().backward()
        assert any(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("type_name", ["FSRCNN", "VDSR", "IDN", "CARN"])
def test_impossible_scales_are_refused(type_name: str) -> None:
    with pytest.raises(UsageError, match=f"{type_name} cannot upscale x1; it can be built for x2, x3, x4"):
        build_network(type_name, scale=1)


@pytest.mark.parametrize("type_name", ["VDSR", "CARN"])
def test_scales_that_contradict_are_refused(type_name: str) -> None:
    with pytest.raises(UsageError, match=r"scale 4 is not among its scales \[2, 3\]"):
        build_network(type_name, scale=4, scales=[2, 3])
    with pytest.raises(UsageError, match="needs a scale"):
        build_network(type_name)
    with pytest.raises(UsageError, match="cannot upscale x0"):
        build_network(type_name, scales=[0, 2])


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 5 layers, not 3"):
        build_network("VDSR", scale=2, layers=3)
    with pytest.raises(UsageError, match="groups must divide 64; found 5"):
        build_network("CARN", scale=2, variant="mobile", groups=5)
    with pytest.raises(UsageError, match="variant"):
        build_network("CARN", scale=2, variant="mobil")


@every_network
def test_unknown_taps_are_refused_with_the_nearest(name: str) -> None:
    network = build(name, 2)
    tap = next(iter(network.taps))
    with pytest.raises(UsageError, match=f"did you mean '{tap}'"):
        network.features(image(network), [tap + "s"])


def test_a_carn_unit_of_the_mobile_variant_is_shared_within_its_block() -> None:
    mobile, standard = build("CARN-M", 2), build("CARN", 2)
    units = "body.units.0.units.{}.body.0.weight"
    assert units.format(1) not in mobile.state_dict()
    assert units.format(1) in standard.state_dict()


@pytest.mark.parametrize("name", ["FSRCNN-skip", "CARN-M-skip", "VDSR", "IDN"])
def test_low_precision_keeps_the_skip_exact(name: str) -> None:
    network = build(name, 2)
    network.initialize("bicubic")
    x = image(network, 12, 12)
    exact = upscale(x, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network(x), exact)
        assert torch.equal(network.deploy()(x), exact)
    assert torch.equal(network.bfloat16()(x), exact)
    torch.testing.assert_close(network.deploy()(x), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["FSRCNN", "FSRCNN-skip", "CARN-M", "VDSR", "IDN"])
def test_half_weights_take_a_float_image(name: str) -> None:
    network = build(name, 2)
    x = image(network)
    found = copy.deepcopy(network).bfloat16()(x)
    torch.testing.assert_close(found.float(), network(x), rtol=0.02, atol=0.02)


def test_a_skip_needs_an_image() -> None:
    for kind in ("FSRCNN", "CARN"):
        with pytest.raises(UsageError, match=f"{kind} can have the skip 'bicubic' only with an image.*not 7"):
            build_network(kind, scale=2, input_channels=7, skip="bicubic")
    with pytest.raises(UsageError, match="'skip'"):
        build_network("FSRCNN", scale=2, skip="bilinear")


@pytest.mark.parametrize("scale", SCALES)
def test_idn_keeps_its_authors_offset_of_the_residual(scale: int) -> None:
    network = build("IDN", scale).double()
    x = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    layer, (_, features) = network.reconstruction, network.features(x, ["block4"])
    # The released networks: padding 8, and the result belongs at row and column scale - 1.
    theirs = functional.conv_transpose2d(features["block4"], layer.weight, layer.bias, stride=scale, padding=8)
    residual = network(x) - upscale(x, scale)
    torch.testing.assert_close(residual[..., scale - 1 :, scale - 1 :], theirs, rtol=0, atol=1e-14)
