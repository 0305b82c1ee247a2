"""Exported files, run by the runtimes they are for and compared with the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sr_kd.cli.main import main
from sr_kd.errors import SrKdError, UsageError
from sr_kd.export.export import export_network
from sr_kd.images import read_image
from sr_kd.imaging.load import find_network
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.base import SRNetwork
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network


@pytest.fixture(scope="module")
def fsrcnn() -> SRNetwork:
    """A luma network that does what a trained one does, and whose values are of an image's size."""
    torch.manual_seed(0)
    return build_network("FSRCNN", scale=2, init="bicubic").eval()


@pytest.fixture(scope="module")
def residual() -> SRNetwork:
    """A residual luma network whose residual is of the size of a trained one's."""
    torch.manual_seed(0)
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="kaiming").eval()
    with torch.no_grad():
        network.last_layer.weight.normal_(0, 0.01)
    return network


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["sr"], {"lr": images})[0]


def run_pt2(path: Path, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.export.load(path).module()(torch.from_numpy(images)).numpy()


RUN = {".onnx": run_onnx, ".pt2": run_pt2}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_color_inside_equals_the_upscaler_on_a_photograph(fsrcnn, shared_images, tmp_path, suffix):
    lr = read_image(shared_images / "benchmark/Set5/butterfly.png").pixels[:90, :120]
    exported = export_network(fsrcnn, tmp_path / f"fsrcnn{suffix}", rgb=True)
    sr = RUN[suffix](exported.path, (lr.astype(np.float32) / 255).transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    expected = Upscaler(fsrcnn, device="cpu").upscale(lr)
    found = np.clip(np.floor(255 * sr + 0.5), 0, 255)
    assert np.abs(found - expected).max() <= 1
    assert exported.difference < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize(
    ("name", "scale"),
    [(name, scale) for name in ("FSRCNN", "VDSR", "IDN", "CARN") for scale in (2, 3, 4)],
)
def test_every_network_and_scale(tmp_path, name, scale, suffix):
    """Free batch, height and width, in half a gray level, on sizes that no tracing saw."""
    torch.manual_seed(scale)
    network = build_network(name, scale=scale).eval()
    path = export_network(network, tmp_path / f"network{suffix}").path
    images = torch.rand(3, network.channels, 14, 11)
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(RUN[suffix](path, images.numpy()), expected, atol=0.5 / 255)


def test_a_multi_scale_network_is_exported_at_one_scale(tmp_path):
    network = build_network("CARN", scales=[2, 3], variant="mobile").for_scale(3)
    path = export_network(network, tmp_path / "carn.pt2").path
    assert run_pt2(path, np.zeros((1, 3, 8, 9), np.float32)).shape == (1, 3, 24, 27)


@pytest.mark.slow
def test_half_precision_keeps_float32_outside(fsrcnn, tmp_path):
    exported = export_network(fsrcnn, tmp_path / "half.onnx", precision="fp16")
    assert run_onnx(exported.path, np.full((1, 1, 8, 8), 0.5, np.float32)).dtype == np.float32
    assert 0 < exported.difference < 1
    whole = export_network(fsrcnn, tmp_path / "whole.onnx").path
    assert exported.path.stat().st_size < 0.8 * whole.stat().st_size


def test_results_that_differ_leave_no_file(tmp_path):
    """Features beyond half precision's range, harmless in float32."""
    network = build_network("FSRCNN", scale=2, init="bicubic").eval()
    with torch.no_grad():
        network.feature_extraction[0].weight *= 1e6
        network.last_layer.weight *= 1e-6
    assert export_network(network, tmp_path / "fine.pt2").difference < 0.1
    with pytest.raises(SrKdError, match=r"bad\.pt2 was not written: .* differ .*: this .*; use precision fp32"):
        export_network(network, tmp_path / "bad.pt2", precision="fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["fine.pt2"]


@pytest.mark.slow
@pytest.mark.parametrize("rgb", [False, True])
def test_a_skip_is_exported_as_a_convolution_and_a_pixel_shuffle(residual, tmp_path, rgb):
    exported = export_network(residual, tmp_path / "residual.onnx", rgb=rgb)
    assert exported.difference < 0.01
    graph = onnx.load(exported.path).graph
    operators = [node.op_type for node in graph.node]
    assert "Resize" not in operators
    assert operators.count("DepthToSpace") == (3 if rgb else 2)
    kernels = {tuple(tensor.dims) for tensor in graph.initializer}
    assert (4, 1, 5, 5) in kernels, "bicubic"


@pytest.mark.slow
def test_half_precision_leaves_the_skip_alone(tmp_path):
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="bicubic")
    exported = export_network(network, tmp_path / "half.onnx", precision="fp16")
    assert exported.difference < 1e-3, "rounded to half precision it would be 0.06"
    whole = export_network(network, tmp_path / "whole.onnx")
    assert exported.path.stat().st_size < whole.path.stat().st_size - 12_644


@pytest.mark.slow
def test_the_shipped_networks_are_fit_for_half_precision(tmp_path):
    """On noise their differences are above one gray level, on photographs below."""
    for name in ("fsrcnn_x2", "fsrcnn_x3", "fsrcnn_x4"):
        _, network = find_network(name, None)
        assert export_network(network, tmp_path / f"{name}.onnx", precision="fp16").difference < 1


@pytest.mark.slow
def test_onnx_metadata_and_opset(fsrcnn, tmp_path):
    model = onnx.load(export_network(fsrcnn, tmp_path / "a.onnx", rgb=True, opset=20).path)
    onnx.checker.check_model(model)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert (entries["scale"], entries["color"], entries["range"]) == ("2", "rgb", "[0, 1]")
    assert json.loads(entries["sr_kd"])["arguments"] == fsrcnn.arguments
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [20]
    (given,) = model.graph.input
    sides = [size.dim_value or size.dim_param for size in given.type.tensor_type.shape.dim]
    assert sides == ["batch", 3, "height", "width"]


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".safetensors"])
def test_the_same_network_gives_the_same_bytes(fsrcnn, tmp_path, suffix):
    first, again = (export_network(fsrcnn, tmp_path / f"{name}{suffix}").path for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_pt2_metadata(fsrcnn, tmp_path):
    path = export_network(fsrcnn, tmp_path / "a.pt2").path
    extra = {"sr_kd.json": ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra["sr_kd.json"])["color"] == "y"


def test_safetensors_are_read_back(fsrcnn, tmp_path):
    path = export_network(fsrcnn, tmp_path / "a.safetensors").path
    found = load_network(path).network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in fsrcnn.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "a.onxx",
            {},
            r"unknown suffix '.onxx' \(did you mean '.onnx'\?\); known: .onnx, .pt2, .mlpackage, .tflite, .param",
        ),
        ("a.safetensors", {"precision": "fp16"}, "holds the weights as they are"),
        ("a.safetensors", {"rgb": True}, "holds the weights as they are"),
        ("a.onnx", {"opset": 9}, "opset 9 is not supported; allowed: 18 to 23"),
        ("net.pt2", {"opset": 20}, "opset is for .onnx files"),
    ],
)
def test_wrong_options_are_refused(fsrcnn, tmp_path, name, options, message):
    with pytest.raises(UsageError, match=message):
        export_network(fsrcnn, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_rgb_network_needs_no_color_handling(tmp_path):
    with pytest.raises(UsageError, match="FSRCNN takes and gives RGB already"):
        export_network(build_network("FSRCNN", scale=2, color="rgb"), tmp_path / "a.pt2", rgb=True)


def test_command_line(fsrcnn, tmp_path, run_cli):
    save_network(tmp_path / "net.pth", fsrcnn)
    finished = run_cli("export", "-n", tmp_path / "net.pth", "-o", tmp_path / "net.pt2")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"wrote {tmp_path / 'net.pt2'}: FSRCNN x2, Y in [0, 1], fp32; largest diff")
    assert finished.stderr == ""
    unused = run_cli("export", "-n", tmp_path / "net.pth", "-o", tmp_path / "again.pt2", "--max-loss", 1)
    assert unused.returncode == 2
    assert "--max-loss is for --precision int8" in unused.stderr
    refused = run_cli("export", "-n", "bicubic", "-o", tmp_path / "net.pt2")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "an interpolation without a network" in refused.stderr


def test_a_network_is_not_replaced_by_its_own_export(fsrcnn, tmp_path, capsys):
    save_network(tmp_path / "net.safetensors", fsrcnn)
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "net.safetensors")
    before = (tmp_path / "net.safetensors").read_bytes()
    for name in ("net", "link"):
        output = tmp_path / f"{name}.safetensors"
        assert main(["export", "-n", str(tmp_path / "net.safetensors"), "-o", str(output)]) == 2
        assert f"--output {output} is the network itself: name another file" in capsys.readouterr().err
    assert (tmp_path / "net.safetensors").read_bytes() == before
