"""Networks by name, registries and the check of constructor arguments."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from sr_kd.errors import UsageError
from sr_kd.networks import NETWORKS, build_network
from sr_kd.networks.fsrcnn import FSRCNN
from sr_kd.registry import Registry
from sr_kd.signature import accepted, check_arguments


class Doubler(nn.Module):
    def __init__(self, gain: float = 2.0) -> None:
        super().__init__()
        self.gain = gain


def test_every_builtin_network_can_be_found_and_tells_its_name() -> None:
    assert {"CARN", "FSRCNN", "Hourglass", "IDN", "PrivilegedTeacher", "VDSR"} <= set(NETWORKS.names())
    for name in NETWORKS.names():
        assert NETWORKS.get(name).type_name == name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"type": "FSRCN", "scale": 2}, r"unknown network 'FSRCN' \(did you mean 'FSRCNN'\?\); known: CARN, FCOS"),
        ({"type": "FSRCNN", "scale": 2, "dd": 5}, r"network FSRCNN has no option 'dd'.*known: color, d, "),
        ({"type": "FSRCNN"}, "network FSRCNN needs the option 'scale'"),
        ({"type": "FSRCNN", "scale": "two"}, "network FSRCNN, option 'scale': .*integer.*found 'two'"),
        ({"type": "FSRCNN", "scale": 2, "color": "ycbcr"}, "option 'color': .*'y' or 'rgb'.*found 'ycbcr'"),
        ({"type": "FSRCNN", "scale": 2, "init": "bicubik"}, r"did you mean 'bicubic'"),
        ({"type": "PrivilegedTeacher", "scale": 2, "encoder": {"type": "Hourglas"}}, "did you mean 'Hourglass'"),
        ({"type": "PrivilegedTeacher", "scale": 2, "encoder": {"type": "Hourglass"}}, "needs the option 'decoder'"),
    ],
)
def test_mistakes_are_explained(arguments: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_network(**arguments)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (10**12, "there is not enough memory for its weights"),
        (10**17, "Storage size calculation overflowed"),
        (10**25, "Overflow when unpacking"),
        (-1, "negative dimension"),
    ],
)
def test_impossible_sizes_are_one_sentence(size: int, says: str) -> None:
    with pytest.raises(UsageError) as refusal:
        build_network("FSRCNN", scale=2, d=size)
    assert str(refusal.value).startswith(f"network FSRCNN cannot be made with scale = 2, d = {size}: ")
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["FSRCNN", "VDSR", "IDN", "CARN", "Hourglass", "ResNet"])
def test_counting_leaves_the_random_weights_as_they_were(name: str) -> None:
    arguments = {"ResNet": {"classes": 10}}.get(name, {"scale": 2})
    torch.manual_seed(0)
    built = build_network(name, **arguments).state_dict()
    torch.manual_seed(0)
    made = NETWORKS.get(name)(**arguments)
    made.initialize("default")
    assert all(torch.equal(value, built[key]) for key, value in made.state_dict().items())


def test_arguments_are_converted_as_the_constructor_declares() -> None:
    network = build_network("FSRCNN", scale="3", slope_per_channel="yes")
    assert network.arguments["scale"] == 3
    assert network.arguments["slope_per_channel"] is True


def test_parts_inherit_scale_and_color_unless_they_say_otherwise() -> None:
    teacher = build_network(
        "PrivilegedTeacher",
        scale=3,
        color="rgb",
        encoder={"type": "Hourglass"},
        decoder={"type": "FSRCNN", "d": 8},
    )
    assert teacher.encoder.arguments == {"scale": 3, "color": "rgb", "d": 56, "s": 12, "k": 1}
    assert (teacher.scale, teacher.color) == (3, "rgb")


def test_initializations_start_a_network_afresh() -> None:
    torch.manual_seed(0)
    first = build_network("FSRCNN", scale=2)
    torch.manual_seed(0)
    second = build_network("FSRCNN", scale=2, init="kaiming")
    assert not torch.equal(first.shrinking[0].weight, second.shrinking[0].weight)


def test_a_registered_network_is_built_by_name() -> None:
    registry: Registry[nn.Module] = Registry("network", {"FSRCNN": "sr_kd.networks.fsrcnn:FSRCNN"})
    registry.register("Doubler", Doubler)
    registry.register("Doubler", Doubler)
    assert registry.names() == ["Doubler", "FSRCNN"]
    assert registry.get("Doubler") is Doubler
    assert registry.get("FSRCNN") is FSRCNN


def test_names_are_never_taken_over() -> None:
    registry: Registry[nn.Module] = Registry("network", {"FSRCNN": "sr_kd.networks.fsrcnn:FSRCNN"})
    registry.register("Doubler", Doubler)
    for name in ("Doubler", "FSRCNN"):
        with pytest.raises(UsageError, match=f"network '{name}' is registered already"):
            registry.register(name, nn.Linear)
    assert registry.get("Doubler") is Doubler
    with pytest.raises(UsageError, match=r"unknown network 'Dubler' \(did you mean 'Doubler'\?\)"):
        registry.get("Dubler")


def test_a_module_that_cannot_be_initialized_is_no_network_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NETWORKS, "_parts", {})
    NETWORKS.register("Doubler", Doubler)
    with pytest.raises(UsageError, match="Doubler is no network that can be used here"):
        build_network("Doubler")


def test_signature_checks_leave_out_what_the_caller_gives() -> None:
    assert list(accepted(Doubler)) == ["gain"]
    assert check_arguments("loss Doubler", Doubler, {"gain": 3}) == {"gain": 3.0}
    assert check_arguments("loss Doubler", Doubler, {}) == {}
    with pytest.raises(UsageError, match="loss Doubler has no option 'gain'"):
        check_arguments("loss Doubler", Doubler, {"gain": 3}, given=("gain",))


def test_catch_all_arguments_are_not_options() -> None:
    class Open(nn.Module):
        def __init__(self, gain: float, **others: float) -> None:
            super().__init__()

    assert list(accepted(Open)) == ["gain"]
    with pytest.raises(UsageError, match=r"no option 'gian' \(did you mean 'gain'\?\)"):
        check_arguments("network Open", Open, {"gian": 1})


@pytest.mark.parametrize("name", ["FSRCNN", "VDSR", "IDN", "CARN", "Hourglass"])
def test_networks_record_every_constructor_argument(name: str) -> None:
    network = build_network(name, scale=2)
    assert list(network.arguments) == list(inspect.signature(NETWORKS.get(name)).parameters)
