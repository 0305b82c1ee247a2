from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks import build_network
from sr_kd.networks.files import load_network, load_weights, save_network


def equal(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def small_teacher() -> nn.Module:
    return build_network(
        "PrivilegedTeacher", scale=3, encoder={"type": "Hourglass", "d": 8, "s": 4}, decoder={"type": "FSRCNN", "d": 6}
    )


def released(teacher: bool) -> dict:
    """A checkpoint as the PISR release has them: same keys, same shapes, same top-level entries."""
    state = {}
    for name, shape in {
        "feature_extraction.0.0": (56, 1, 5, 5),
        "shrinking.0.0": (12, 56, 1, 1),
        **{f"mapping.{i}.0": (12, 12, 3, 3) for i in range(4)},
        "expanding.0.0": (56, 12, 1, 1),
        "last_layer.0.0": (56, 1, 9, 9),
    }.items():
        state[f"backbone.network.{name}.weight"] = torch.randn(shape)
        state[f"backbone.network.{name}.bias"] = torch.randn(1 if "last" in name else shape[0])
        if "last" not in name:
            state[f"backbone.network.{name[:-1]}1.weight"] = torch.rand(1)
    if teacher:
        for i, shape in zip((0, 2, 4, 6), [(56, 1, 5, 5), (56, 56, 5, 5), (12, 56, 3, 3), (1, 12, 3, 3)], strict=True):
            state[f"backbone.network.encoder.0.{i}.weight"] = torch.randn(shape)
            state[f"backbone.network.encoder.0.{i}.bias"] = torch.randn(shape[0])
        for i in (1, 3, 5):
            state[f"backbone.network.encoder.0.{i}.weight"] = torch.rand(1)
    else:
        for head in ("expanding_mean", "expanding_var"):
            for i in (0, 2):
                state[f"vid_module_dict.{head}.{i}.weight"] = torch.randn(56, 56, 1, 1)
                state[f"vid_module_dict.{head}.{i}.bias"] = torch.randn(56)
            state[f"vid_module_dict.{head}.1.weight"] = torch.rand(1)
    return {"state_dict": state, "optimizer_dict": {"state": {}, "param_groups": []}, "epoch": 819, "step": 0}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: build_network("FSRCNN", scale=3, d=9, m=2, color="rgb"),
        lambda: build_network("ResNet", classes=3, blocks=1, width=4),
        small_teacher,
    ],
)
def test_round_trip(tmp_path: Path, suffix: str, make) -> None:
    network = make()
    path = tmp_path / f"net{suffix}"
    save_network(path, network, metadata={"psnr": 36.9, "recipe": {"name": "r"}})
    before = torch.get_rng_state()
    loaded = load_network(path)
    assert torch.equal(before, torch.get_rng_state())
    assert loaded.metadata == {"psnr": 36.9, "recipe": {"name": "r"}}
    assert loaded.network.arguments == network.arguments
    assert not loaded.network.training
    assert equal(loaded.network, network)


@pytest.mark.parametrize("skip", ["none", "bicubic"])
@pytest.mark.parametrize("kind", ["FSRCNN", "CARN", "PrivilegedTeacher"])
def test_weights_alone_tell_a_residual_network(tmp_path: Path, kind: str, skip: str) -> None:
    parts = {"encoder": {"type": "Hourglass"}, "decoder": {"type": "FSRCNN", "skip": skip}}
    network = build_network(kind, scale=2, **(parts if kind == "PrivilegedTeacher" else {"skip": skip})).eval()
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
    loaded = load_network(tmp_path / "net.pth", scale=2).network
    assert loaded.arguments == network.arguments
    assert equal(loaded, network)


def test_a_plain_network_does_not_take_residual_weights(tmp_path: Path) -> None:
    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=2, skip="bicubic"))
    with pytest.raises(SrKdError, match="1 surplus: skip"):
        load_weights(build_network("FSRCNN", scale=2), tmp_path / "net.pth")


def test_moving_averages_are_preferred(tmp_path: Path) -> None:
    network = build_network("FSRCNN", scale=2)
    averages = {key: value + 1 for key, value in network.state_dict().items()}
    for suffix in (".pth", ".safetensors"):
        save_network(tmp_path / f"net{suffix}", network, ema=averages)
        loaded = load_network(tmp_path / f"net{suffix}").network.state_dict()
        assert all(torch.equal(loaded[key], averages[key]) for key in averages)
    plain = torch.load(tmp_path / "net.pth", weights_only=True)
    assert torch.equal(plain["params"]["last_layer.bias"], network.state_dict()["last_layer.bias"])


@pytest.mark.parametrize(("key", "value"), [("params", 0.5), ("params_ema", 0.25), (None, 0.25)])
def test_either_weights_of_a_file_may_be_asked_for(tmp_path: Path, key: str | None, value: float) -> None:
    network, path = build_network("FSRCNN", scale=2), tmp_path / "net.pth"
    torch.nn.init.constant_(network.last_layer.bias, 0.5)
    averages = {name: torch.full_like(weight, 0.25) for name, weight in network.state_dict().items()}
    save_network(path, network, ema=averages)
    assert load_network(path, key=key).network.last_layer.bias.item() == value
    load_weights(network, path, key=key)
    assert network.last_layer.bias.item() == value
    save_network(path, build_network("FSRCNN", scale=2))
    assert load_network(path, key="params_ema").network.type_name == "FSRCNN", "as BasicSR: there are no averages"


def test_files_describe_themselves(tmp_path: Path) -> None:
    save_network(tmp_path / "n.pth", build_network("FSRCNN", scale=2))
    save_network(tmp_path / "n.safetensors", build_network("FSRCNN", scale=2))
    first = json.loads(torch.load(tmp_path / "n.pth", weights_only=True)["sr_kd"])
    with safe_open(tmp_path / "n.safetensors", framework="pt") as opened:
        second = json.loads(opened.metadata()["sr_kd"])
    assert first == second
    assert {"type": "FSRCNN", "scales": [2], "color": "y"}.items() <= first.items()
    assert first["arguments"]["d"] == 56
    assert first["torch"] == str(torch.__version__)


def test_a_view_of_a_large_storage_is_written_small(tmp_path: Path) -> None:
    network = build_network("FSRCNN", scale=2)
    network.last_layer.bias.data = torch.zeros(1_000_000)[:1]
    save_network(tmp_path / "net.pth", network)
    assert (tmp_path / "net.pth").stat().st_size < 200_000


@pytest.mark.parametrize("legacy", [False, True])
def test_the_pisr_student_loads(tmp_path: Path, legacy: bool) -> None:
    content = released(teacher=False)
    torch.save(content, tmp_path / "epoch_0819.pth", _use_new_zipfile_serialization=not legacy)
    network = load_network(tmp_path / "epoch_0819.pth", scale=2).network
    assert network.type_name == "FSRCNN"
    assert network.scale == 2
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_644
    theirs = content["state_dict"]
    assert torch.equal(network.mapping[2][1].weight, theirs["backbone.network.mapping.2.1.weight"])
    assert torch.equal(network.expanding[0].weight, theirs["backbone.network.expanding.0.0.weight"])
    assert torch.equal(network.last_layer.weight, theirs["backbone.network.last_layer.0.0.weight"])


def test_the_pisr_teacher_loads(tmp_path: Path) -> None:
    content = released(teacher=True)
    path = tmp_path / "epoch_0999.pth"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    teacher = load_network(path, scale=2).network
    assert teacher.type_name == "PrivilegedTeacher"
    assert sum(parameter.numel() for parameter in teacher.parameters()) == 98_728
    assert torch.equal(teacher.encoder.layers[4].bias, content["state_dict"]["backbone.network.encoder.0.4.bias"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"params": state},
        lambda state: {"params_ema": state, "params": {key: value * 0 for key, value in state.items()}},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: state,
        lambda state: {"params-ema": state, "params": {key: value * 0 for key, value in state.items()}},
        lambda state: {"net": state, "epoch": 3},
        lambda state: {"model": {"state_dict": {"params": state}}},
        *(
            lambda state, prefix=prefix: {"params": {f"{prefix}{key}": value for key, value in state.items()}}
            for prefix in ("module.", "_orig_mod.", "generator.", "net.", "model.", "module._orig_mod.")
        ),
        lambda state: (
            {f"generator_ema.{key}": value for key, value in state.items()}
            | {f"generator.{key}": value * 0 for key, value in state.items()}
            | {"step_counter": torch.zeros(1)}
        ),
        lambda state: {
            "state_dict": {key: value * 0 for key, value in state.items()},
            "state_dict_ema": {f"module.{key}": value for key, value in state.items()},
        },
        lambda state: {f"module.{key}": value for key, value in state.items()} | {"n_averaged": torch.tensor(7)},
        lambda state: state | {"pro": 3, "name": "mine"},
        lambda state: {"g": {key: value * 0 for key, value in state.items()}, "d": {}, "g_ema": state},
        lambda state: {"params_ema": {}, "ema": {"decay": 0.9}, "params": state},
        lambda state: {"netG": state, "netD": {"a": torch.zeros(1)}},
        lambda state: {
            "model": {key: value * 0 for key, value in state.items()},
            "ema": {"decay": 0.9, "shadow": state},
        },
        lambda state: (
            {f"online_model.{key}": value * 0 for key, value in state.items()}
            | {f"ema_model.{key}": value for key, value in state.items()}
            | {"initted": torch.tensor(True), "step": torch.tensor(9)}
        ),
    ],
    ids=[
        "params",
        "params_ema",
        "state_dict",
        "bare",
        "params-ema",
        "net",
        "nested",
        "module",
        "_orig_mod",
        "generator",
        "net.",
        "model.",
        "compiled",
        "gan",
        "state_dict_ema",
        "AveragedModel",
        "numbers beside",
        "g_ema",
        "averages without weights",
        "netG",
        "shadow",
        "ema_model.",
    ],
)
@pytest.mark.parametrize("color", ["y", "rgb"])
def test_basicsr_wrappers_and_shapes_tell_the_network(tmp_path: Path, wrap, color: str) -> None:
    network = build_network("FSRCNN", scale=4, color=color, d=10, s=5, m=3, slope_per_channel=True)
    torch.save(wrap(network.state_dict()), tmp_path / "net_g_5000.pth")
    loaded = load_network(tmp_path / "net_g_5000.pth", scale=4).network
    assert loaded.arguments == network.arguments
    assert equal(loaded, network)
    again = build_network("FSRCNN", scale=4, color=color, d=10, s=5, m=3, slope_per_channel=True)
    load_weights(again, tmp_path / "net_g_5000.pth")
    assert equal(again, network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_loaded_in_single(tmp_path: Path, dtype: torch.dtype) -> None:
    network = build_network("FSRCNN", scale=4)
    torch.save({"params": {key: value.to(dtype) for key, value in network.state_dict().items()}}, tmp_path / "net.pth")
    loaded = load_network(tmp_path / "net.pth", scale=4).network
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, network.state_dict()[key].to(dtype).float()), key


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        ({"type": "FSRCNN", "color": "rgb", "input_channels": 6}, ".safetensors"),
        ({"type": "VDSR", "layers": 6, "width": 8}, ".npz"),
        ({"type": "VDSR", "layers": 5, "width": 8, "color": "rgb"}, ".pth"),
        ({"type": "IDN"}, ".pth"),
        ({"type": "IDN", "color": "rgb"}, ".npz"),
        ({"type": "CARN"}, ".pth"),
        ({"type": "CARN", "variant": "mobile", "groups": 2, "color": "y"}, ".safetensors"),
        ({"type": "CARN", "variant": "mobile", "input_channels": 9}, ".pth"),
    ],
)
def test_shapes_alone_tell_every_network(tmp_path: Path, options: dict, suffix: str) -> None:
    network = build_network(**options, scale=3)
    path = tmp_path / f"bare{suffix}"
    state = {key: value.detach().clone() for key, value in network.state_dict().items()}
    if suffix == ".pth":
        torch.save(state, path)
    elif suffix == ".safetensors":
        save_file(state, path)
    else:
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    loaded = load_network(path, scale=3).network
    assert {**loaded.arguments, "groups": None} == {**network.arguments, "groups": None}
    assert equal(loaded, network)


def test_several_scales_are_told_by_the_heads(tmp_path: Path) -> None:
    network = build_network("CARN", scales=[2, 4], variant="mobile")
    torch.save(network.state_dict(), tmp_path / "net.pth")
    assert load_network(tmp_path / "net.pth").network.scales == (2, 4)
    assert load_network(tmp_path / "net.pth", scale=4).network.scale == 4
    with pytest.raises(UsageError, match=r"CARN serves x2, x4, not x3"):
        load_network(tmp_path / "net.pth", scale=3)


@pytest.mark.parametrize("name", ["VDSR", "IDN", "CARN"])
def test_teachers_with_every_decoder_are_told_by_their_shapes(tmp_path: Path, name: str) -> None:
    small = {"VDSR": {"layers": 5, "width": 8}, "CARN": {"variant": "mobile"}}
    teacher = build_network(
        "PrivilegedTeacher",
        scale=2,
        color="y",
        encoder={"type": "Hourglass", "d": 8, "s": 4},
        decoder={"type": name, **small.get(name, {})},
    )
    torch.save({"params": teacher.state_dict()}, tmp_path / "teacher.pth")
    loaded = load_network(tmp_path / "teacher.pth", scale=2).network
    assert loaded.arguments == teacher.arguments
    assert equal(loaded, teacher)


def test_a_multi_scale_view_is_saved_as_a_single_scale_network(tmp_path: Path) -> None:
    view = build_network("CARN", scales=[2, 3, 4], variant="mobile").for_scale(4)
    save_network(tmp_path / "x4.pth", view)
    loaded = load_network(tmp_path / "x4.pth").network
    assert loaded.scale == 4
    assert equal(loaded, view)


def test_networks_that_cannot_be_described_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot describe a Conv2d"):
        save_network(tmp_path / "net.pth", nn.Conv2d(1, 1, 1))


def test_a_teacher_in_basicsr_style_tells_its_shape(tmp_path: Path) -> None:
    network = small_teacher()
    torch.save({"params": network.state_dict()}, tmp_path / "t.pth")
    loaded = load_network(tmp_path / "t.pth", scale=3).network
    assert loaded.arguments == network.arguments
    assert equal(loaded, network)


def test_a_scale_that_shapes_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    torch.save(build_network("FSRCNN", scale=4).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UsageError, match="say which scale"):
        load_network(tmp_path / "net.pth")


def test_a_wrong_scale_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=4))
    with pytest.raises(UsageError, match=r"net\.pth: FSRCNN serves x4, not x2"):
        load_network(tmp_path / "net.pth", scale=2)
    save_network(tmp_path / "t.pth", small_teacher())
    with pytest.raises(UsageError, match="x3, not x2"):
        load_network(tmp_path / "t.pth", scale=2)


def test_keys_that_do_not_fit_are_counted_and_named(tmp_path: Path) -> None:
    state = build_network("FSRCNN", scale=2).state_dict()
    state["expandingg.0.bias"] = state.pop("expanding.0.bias")
    state["shrinking.0.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(SrKdError) as caught:
        load_weights(build_network("FSRCNN", scale=2), tmp_path / "net.pth")
    message = str(caught.value)
    assert "1 missing: expanding.0.bias (did you mean 'expandingg.0.bias'?)" in message
    assert "1 surplus: expandingg.0.bias (did you mean 'expanding.0.bias'?)" in message
    assert "1 of another shape: shrinking.0.bias (7,) for (12,)" in message


def _truncated(path: Path) -> None:
    save_network(path, build_network("FSRCNN", scale=2))
    path.write_bytes(path.read_bytes()[:-3000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)


def _absent(path: Path) -> None:
    pass


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_truncated, "truncated"),
        (_empty, "the file is empty"),
        (_foreign, "not a (PyTorch weights|safetensors) file"),
        (_absent, "No such file"),
    ],
)
def test_unreadable_files_are_explained_in_one_line(tmp_path: Path, suffix: str, spoil, says: str) -> None:
    path = tmp_path / f"weights{suffix}"
    spoil(path)
    with pytest.raises(SrKdError, match=says) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_damaged_files_never_end_in_another_error(tmp_path: Path, suffix: str) -> None:
    network = build_network("FSRCNN", scale=2, d=4, s=3, m=1)
    path = tmp_path / f"net{suffix}"
    if suffix == ".npz":
        np.savez(path, **{key: value.numpy() for key, value in network.state_dict().items()})
    else:
        save_network(path, network)
    whole = path.read_bytes()
    damaged = tmp_path / f"damaged{suffix}"

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def damage(data: st.DataObject) -> None:
        content = bytearray(whole[: data.draw(st.integers(1, len(whole)), label="kept")])
        for _ in range(data.draw(st.integers(0, 3), label="changes")):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        damaged.write_bytes(content)
        try:
            loaded = load_network(damaged, scale=2).network
        except SrKdError as error:
            assert str(error).startswith(str(damaged))
        else:
            assert loaded.state_dict().keys() == network.state_dict().keys()

    damage()


def test_the_wrong_suffix_is_explained(tmp_path: Path) -> None:
    network = build_network("FSRCNN", scale=2)
    save_network(tmp_path / "a.safetensors", network)
    (tmp_path / "a.safetensors").rename(tmp_path / "a.pth")
    with pytest.raises(SrKdError, match="not a PyTorch weights file"):
        load_network(tmp_path / "a.pth")
    with pytest.raises(SrKdError, match=r"suffix '\.onnx'; known"):
        load_network(tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"\.safetensors or \.pth"):
        save_network(tmp_path / "a.bin", network)
    assert not (tmp_path / "a.bin").exists()


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save(build_network("FSRCNN", scale=2), tmp_path / "whole.pth")
    with pytest.raises(SrKdError, match="never unpickled"):
        load_network(tmp_path / "whole.pth")
    np.savez(tmp_path / "objects.npz", weight=np.array([{}], dtype=object))
    with pytest.raises(SrKdError, match="plain numeric arrays"):
        load_network(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, [1, 2], {"params": {}}, {"feature_extraction.0.weight": torch.ones(1)}]
)
def test_files_without_our_weights_are_refused(tmp_path: Path, content) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(SrKdError, match=r"no weights|no network known"):
        load_network(tmp_path / "net.pth", scale=2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.bool])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in build_network("FSRCNN", scale=2).state_dict().items()}
    torch.save({"params": state}, tmp_path / "net.pth")
    with pytest.raises(SrKdError, match="no floating-point numbers but"):
        load_network(tmp_path / "net.pth", scale=2)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource", reason="system: needs POSIX limits")
    network = build_network("FSRCNN", scale=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SrKdError, match="cannot write"):
            save_network(tmp_path / f"net{suffix}", network)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    state = build_network("FSRCNN", scale=2).state_dict()
    for text in (
        "{",
        "[]",
        '{"type": 3, "arguments": {}}',
        '{"type": "IDN", "arguments": {}, "metadata": 1}',
        '{"type": "FSRCNN", "arguments": {"type": "IDN"}}',
    ):
        torch.save({"params": state, "sr_kd": text}, tmp_path / "net.pth")
        with pytest.raises(SrKdError, match="damaged"):
            load_network(tmp_path / "net.pth")
    torch.save({"params": state, "sr_kd": '{"type": "FSRCN", "arguments": {}}'}, tmp_path / "net.pth")
    with pytest.raises(SrKdError, match="did you mean 'FSRCNN'"):
        load_network(tmp_path / "net.pth")
