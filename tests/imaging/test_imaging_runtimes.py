"""Other runtimes give the same image, to one gray level, and say what they cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network

RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    from skimage import data

    return data.astronaut()[100:167, 150:231]


@pytest.fixture(scope="module")
def network():
    return build_network("FSRCNN", scale=2, init="bicubic")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_same_image(runtime, network, photograph):
    expected = Upscaler(network, device="cpu").upscale(photograph)
    upscaler = Upscaler(network, device="cpu", runtime=runtime)
    for upscaler.tile in (0, 32):
        found = upscaler.upscale(photograph)
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_openvino_in_bfloat16_stays_close(network, photograph):
    expected = Upscaler(network, device="cpu").upscale(photograph)
    found = Upscaler(network, device="cpu", runtime="openvino", precision="bf16").upscale(photograph)
    assert np.abs(found.astype(int) - expected).mean() < 1


@pytest.mark.slow
def test_openvino_in_bfloat16_leaves_the_skip_alone(photograph):
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="bicubic")
    expected = Upscaler(network, device="cpu").upscale(photograph)
    found = Upscaler(network, device="cpu", runtime="openvino", precision="bf16").upscale(photograph)
    differs = found != expected
    assert differs.mean() < 1e-3, "rounded to bfloat16 it changes a third of them"
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_runtime_that_does_not_fit_is_refused(network):
    with pytest.raises(UsageError, match="runtime 'onnx_runtime'"):
        Upscaler(network, device="cpu", runtime="onnx_runtime")
    with pytest.raises(UsageError, match="no precision bf16; it has fp32"):
        Upscaler(network, device="cpu", runtime="onnxruntime", precision="bf16")
    with pytest.raises(UsageError, match="--device cpu"):
        Upscaler(network, device=torch.device("meta"), runtime="onnxruntime")


@pytest.mark.slow
def test_on_the_command_line(run_cli, tmp_path, network, photograph):
    from skimage import io

    io.imsave(tmp_path / "photograph.png", photograph)
    save_network(tmp_path / "network.pth", network)
    common = ("-i", tmp_path / "photograph.png", "-n", tmp_path / "network.pth", "--device", "cpu", "--quiet")
    for runtime in ("torch", "onnxruntime"):
        finished = run_cli("upscale", *common, "-o", tmp_path / f"{runtime}.png", "--runtime", runtime)
        assert finished.returncode == 0, finished.stderr
    ours, theirs = (io.imread(tmp_path / f"{runtime}.png").astype(int) for runtime in ("torch", "onnxruntime"))
    assert np.abs(ours - theirs).max() <= 1
