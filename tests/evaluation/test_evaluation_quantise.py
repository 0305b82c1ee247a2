"""int8 networks: what they lose on real photographs, and that they are refused where it is too much."""

from __future__ import annotations

import re
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sr_kd.data.sets import open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.export.equalize import equalize
from sr_kd.export.export import export_network
from sr_kd.export.int8 import export_int8
from sr_kd.images import read_image
from sr_kd.imaging.load import find_network
from sr_kd.imaging.probe import largest_difference
from sr_kd.imaging.runtimes import open_onnx
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photographs(shared_images):
    return open_set([str(shared_images / "benchmark/Set5")], scale=2)


def test_a_trained_network_loses_little(shared, photographs, tmp_path):
    """Published weights of CARN-M: 0.08 dB (0.17 if rounded twice per layer)."""
    network = load_network(shared / "weights/CARN-M/carn_m.npz", scale=2).network
    written = export_int8(network, tmp_path / "carn.onnx", photographs)
    assert written.psnr == pytest.approx(37.68, abs=0.02)
    assert 0 < written.loss < 0.14
    model = onnx.load(written.path)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}
    assert {entry.key: entry.value for entry in model.metadata_props}["precision"] == "int8"
    session = onnxruntime.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    for shape in ((2, 3, 20, 31), (1, 3, 45, 16)):
        (sr,) = session.run(["sr"], {"lr": np.random.default_rng(0).random(shape, np.float32)})
        assert sr.shape == (*shape[:2], 2 * shape[2], 2 * shape[3])


def test_color_inside(photographs, shared_images, tmp_path):
    """And a file that loses too much is not written; 256 steps cost an FSRCNN that carries the image in one channel."""
    torch.manual_seed(0)
    network = build_network("FSRCNN", scale=2, init="bicubic").eval()
    refusal = r"was not written: int8 loses \d\.\d\d dB on Set5 .* more than 0.05; use precision fp32, raise the limit"
    with pytest.raises(SrKdError, match=refusal):
        export_int8(network, tmp_path / "a.onnx", photographs, rgb=True, limit=0.05)
    assert list(tmp_path.iterdir()) == []
    path = export_int8(network, tmp_path / "a.onnx", photographs, rgb=True, limit=2.0).path
    lr = read_image(shared_images / "benchmark/Set5/bird.png").pixels[None].transpose(0, 3, 1, 2) / np.float32(255)
    (sr,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(["sr"], {"lr": lr})
    assert np.abs(sr[:, :, ::2, ::2] - lr).mean() < 0.02


@pytest.mark.parametrize("rgb", [False, True])
def test_bicubic_upscaling_is_not_rounded(photographs, tmp_path, rgb):
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="bicubic")
    written = export_int8(network, tmp_path / "a.onnx", photographs, rgb=rgb)
    assert abs(written.loss) < 1e-3
    model = onnx.load(written.path)
    rounded = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert sum(node.input[0] not in rounded for node in convolutions) == (2 if rgb else 1)
    assert len(convolutions) == (10 if rgb else 9)


def test_equal_channels_cost_nothing_and_save_most_of_the_loss(photographs, tmp_path):
    """Of the shipped large student, and of a network that adds, concatenates and groups."""
    _, network = find_network("fsrcnn_x2_large", None)
    assert 0 < export_int8(network, tmp_path / "a.onnx", photographs).loss < 0.15  # 0.6 dB without
    inputs = [torch.rand(1, 1, 9, 12), torch.rand(1, 1, 16, 8)]
    for name, equal in (("FSRCNN", 8), ("IDN", 4), ("VDSR", 18)):
        path = export_network(build_network(name, scale=2, init="default").eval(), tmp_path / f"{name}.onnx").path
        model = onnx.load(path)
        before = {tensor.name: tensor.raw_data for tensor in model.graph.initializer}
        equalize(model, inputs)
        changed = [tensor.name for tensor in model.graph.initializer if tensor.raw_data != before[tensor.name]]
        onnx.save(model, tmp_path / "equal.onnx")
        assert len(changed) > equal, changed
        difference = largest_difference(open_onnx(tmp_path / "equal.onnx"), open_onnx(path), 1)
        assert difference < 1e-3


def test_the_layers_that_lose_most_are_found_and_kept_in_float(run_cli, shared_images, tmp_path):
    """With its three worst layers in float, fsrcnn_x2 loses less than half."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("baby", "butterfly"):
        shutil.copy(shared_images / f"benchmark/Set5/{name}.png", folder)
    common = ("export", "-n", "fsrcnn_x2", "--precision", "int8", "--calibrate", folder, "--max-loss", 9, "--quiet")
    plain = run_cli(*common, "--sensitivity", "-o", tmp_path / "a.onnx")
    assert plain.returncode == 0, plain.stderr
    title, *rows, written = plain.stdout.splitlines()
    assert title == "PSNR that each layer loses when it alone is int8, in dB:"
    losses = {layer: float(loss) for loss, layer in map(str.split, rows)}
    assert list(losses.values()) == sorted(losses.values(), reverse=True)
    assert len(losses) == 8 and all(loss > -0.01 for loss in losses.values())
    worst = list(losses)[:3]
    kept = run_cli(*common, "--float-layers", *worst, "-o", tmp_path / "b.onnx")
    assert 0 < 2 * _loss(kept.stdout) < _loss(written)
    wrong = run_cli(*common, "--float-layers", "mappin.0.0", "-o", tmp_path / "c.onnx")
    assert wrong.returncode == 2
    assert "no layer 'mappin.0.0' (did you mean 'mapping.0.0'?); layers: " in wrong.stderr
    assert not (tmp_path / "c.onnx").exists()


def _loss(printed: str) -> float:
    return float(re.search(r"loses (\S+) dB", printed)[1])


def test_another_suffix_is_refused(photographs, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        export_int8(build_network("FSRCNN", scale=2), tmp_path / "a.pt2", photographs)


def test_command_line(shared_images, tmp_path, run_cli):
    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=2, init="bicubic"))
    images = shared_images / "benchmark/Set5"
    common = ("export", "-n", tmp_path / "net.pth", "-o", tmp_path / "net.onnx", "--precision", "int8")
    finished = run_cli(*common, "--calibrate", images, "--max-loss", 2, "--quiet")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"wrote {tmp_path / 'net.onnx'}: FSRCNN x2, int8; loses ")
    assert finished.stderr == ""
    refused = run_cli(*common)
    assert refused.returncode == 2
    assert "int8 needs photographs" in refused.stderr
