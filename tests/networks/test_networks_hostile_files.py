"""Weights files made to do harm are refused in one sentence, at once, without looking at other files or the network."""

from __future__ import annotations

import json
import os
import socket
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sr_kd.config.basicsr_dialect import NETWORKS as NAMED_IN_OPTION_FILES
from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import FOREIGN_TYPES, load_network, load_weights, save_network

FSRCNN = dict(build_network("FSRCNN", scale=2).state_dict())
ARGUMENTS = {"scale": 2, "color": "y", "d": 56, "s": 12, "m": 4}


def written(path: Path, kind: str, arguments: Any, params: Any = FSRCNN) -> Path:
    torch.save({"params": params, "sr_kd": json.dumps({"type": kind, "arguments": arguments})}, path)
    return path


def refusal(path: Path, seconds: float = 3.0) -> str:
    """The sentence; the machine may be busy, so the limit is generous beside hours and endless recursion."""
    load_network(written(path.with_name("good.pth"), "FSRCNN", ARGUMENTS))  # imports are not what is measured
    began = time.process_time()
    with pytest.raises(SrKdError) as caught:
        load_network(path, scale=2)
    assert time.process_time() - began < seconds
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        ("FSRCNN", ARGUMENTS | {"m": 10**7}, "holds a whole number beyond"),
        ("FSRCNN", ARGUMENTS | {"m": 12_000}, "asks for many more"),
        ("FSRCNN", ARGUMENTS | {"d": 60_000, "s": 60_000}, "asks for many more elements than the file holds"),
        ("VDSR", {"scale": 2, "layers": 10**7}, "holds a whole number beyond"),
        ("VDSR", {"scale": 2, "layers": 60_000}, "asks for many more"),
        ("VDSR", {"scale": 2, "layers": 10**400}, "holds a whole number beyond"),
        ("ResNet", {"classes": 10, "blocks": 60_000, "width": 1}, "asks for many more"),
        ("ResNet", {"classes": 60_000, "blocks": 1, "width": 10_000}, "asks for many more"),
        ("PrivilegedTeacher", {"encoder": {"type": "Hourglass", "scale": 2, "d": 10**6}, "decoder": {"type": "FSRCNN"}},
         "holds a whole number beyond"),
        ("PrivilegedTeacher", {"encoder": {"type": "basicsr.SpyNet"}, "decoder": {"type": "FSRCNN"}}, "basicsr.SpyNet"),
        ("VDSR", {"scale": {"type": "VDSR"}, "layers": 5}, "VDSR needs a scale"),
        ("PrivilegedTeacher", {"encoder": {"type": []}, "decoder": {"type": "FSRCNN"}}, "type of a network is a name"),
        ("basicsr.VGGFeatureExtractor", {"scale": 2, "layer_name_list": ["conv1_1"]}, "and a file alone may not"),
        ("basicsr.SpyNet", {"scale": 2, "load_path": "some_local_file"}, "option file: 'type: basicsr.SpyNet'"),
        ("basicsr.RCAN", {"scale": 2, "num_group": 60_000}, "asks for many more"),
    ],
)  # fmt: skip
def test_descriptions_that_ask_for_too_much(tmp_path: Path, kind: str, arguments: Any, sentence: str) -> None:
    assert sentence in refusal(written(tmp_path / "net.pth", kind, arguments), seconds=20 if "RCAN" in kind else 3)


def test_a_description_nested_without_end(tmp_path: Path) -> None:
    for text in ("[" * 100_000, '{"type": "FSRCNN", "arguments": ' + '{"a": ' * 900 + "1" + "}" * 901):
        torch.save({"params": FSRCNN, "sr_kd": text}, tmp_path / "net.pth")
        refusal(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (torch.zeros(56, 1, 5, 5, device="meta"), "holds no values"),
        (torch.zeros(()).expand(10**6, 10**6), "claims 1,000,000,000,000 numbers, and the file holds fewer"),
        (torch.zeros(56, 25).to_sparse(), "not plain numbers (sparse or quantized)"),
        (torch.zeros(56, 1, 5, 0), "does not fit FSRCNN: 1 of another shape"),
        (torch.zeros(()), "no network known here"),
    ],
)
def test_tensors_that_hold_nothing(tmp_path: Path, tensor: torch.Tensor, sentence: str) -> None:
    torch.save({"params": {**FSRCNN, "feature_extraction.0.weight": tensor}}, tmp_path / "net.pth")
    assert sentence in refusal(tmp_path / "net.pth")


def test_sizes_of_zero_are_no_network(tmp_path: Path) -> None:
    zeros = torch.zeros
    keys = {"b1.c1.body.0.weight": zeros(1), "upsample.up.body.0.weight": zeros(4, 4), "exit.weight": zeros(3, 0)}
    torch.save({"params": keys}, tmp_path / "net.pth")
    assert "no network known here" in refusal(tmp_path / "net.pth")
    nested = {f"{'decoder.' * depth}layers.0.weight": zeros(1) for depth in range(2000)}
    torch.save({"params": nested}, tmp_path / "net.pth")
    refusal(tmp_path / "net.pth")


def test_compressed_content_is_not_unpacked(tmp_path: Path) -> None:
    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=2))
    bomb = zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "net.pth") as stored, bomb as packed:
        for entry in stored.namelist():
            packed.writestr(entry, stored.read(entry))
    assert "its content is compressed" in refusal(tmp_path / "bomb.pth")


def test_arrays_that_unpack_to_a_thousand_times_the_file_are_not_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", **{"last_layer.bias": np.zeros(10_000_000, np.float32)})
    assert "more than 100 times larger than the file" in refusal(tmp_path / "bomb.npz")


@pytest.mark.parametrize("name", ["net.npz", "net.pth"])
def test_an_archive_of_a_version_to_come_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **{key: value.numpy() for key, value in FSRCNN.items()})
    else:
        torch.save(FSRCNN, path)
    data = path.read_bytes()
    place = data.index(b"PK\x01\x02") + 6  # of the version that is needed, in the first entry of the list
    path.write_bytes(data[:place] + b"\xff\x00" + data[place + 2 :])
    assert "or a truncated one" in refusal(path)


def test_the_same_holds_for_weights_of_an_existing_network(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "net.npz",
        **{key: value.numpy() for key, value in FSRCNN.items()} | {"last_layer.bias": np.zeros((0,))},
    )
    with pytest.raises(SrKdError, match=r"1 of another shape: last_layer.bias \(0,\)"):
        load_weights(build_network("FSRCNN", scale=2), tmp_path / "net.npz")


def test_what_option_files_may_call_by_a_short_name_may_stand_in_files() -> None:
    assert {f"basicsr.{name}" for name in NAMED_IN_OPTION_FILES} == FOREIGN_TYPES


@pytest.mark.usefixtures("basicsr")
def test_architectures_take_no_paths() -> None:
    with pytest.raises(UsageError, match="has no option 'load_path'"):
        build_network("basicsr.SpyNet", scale=2, load_path="some_local_file")


def test_a_path_that_is_no_utf8_is_named_for_what_it_is(tmp_path):
    network = build_network("FSRCNN", scale=2, d=8, s=4, m=1)
    save_network(tmp_path / "e.safetensors", network)
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.safetensors"))
    (tmp_path / "e.safetensors").rename(place)
    with pytest.raises(SrKdError, match="its path is no UTF-8"):
        load_network(place)
