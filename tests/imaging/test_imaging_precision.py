"""Half precision is chosen where it is as good, measured on photographs, and only there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from skimage import data, io

from sr_kd.imaging.load import find_network
from sr_kd.imaging.precision import choose_precision, compare_precision, fast_precision
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.base import SRNetwork
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network
from sr_kd.zoo.manifest import shipped_models

CPU = torch.device("cpu")


def residual(size: float) -> SRNetwork:
    """FSRCNN that adds random detail of about this size to the bicubically upscaled image."""
    torch.manual_seed(0)
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="kaiming").eval()
    with torch.no_grad():
        network.last_layer.weight.normal_(0, size)
    return network


def test_a_small_residual_stands_bfloat16_and_a_large_one_does_not():
    fit = compare_precision(residual(1e-3), CPU, "bf16")
    assert fit.precision == "bf16"
    assert re.fullmatch(r"on photographs bf16 differs by up to 0\.\d\d gray levels and loses -?0\.00\d dB", fit.reason)
    unfit = compare_precision(residual(1), CPU, "bf16")
    assert unfit.precision == "fp32"
    assert unfit.reason.endswith("; allowed: 1 and 0.01")


def test_an_overflow_means_full_precision():
    network = build_network("FSRCNN", scale=2, init="bicubic").eval()
    with torch.no_grad():
        network.feature_extraction[0].weight *= 1e6
        network.last_layer.weight *= 1e-6
    choice = compare_precision(network, CPU, "fp16")
    assert (choice.precision, choice.reason) == ("fp32", "fp16 overflows")


@pytest.mark.parametrize("name", list(shipped_models()))
def test_shipped_models_are_fit_for_float16_and_those_without_a_skip_not_for_bfloat16(name):
    network = find_network(name, None)[1]
    assert network is not None
    assert compare_precision(network, CPU, "fp16").precision == "fp16"
    if network.arguments["skip"] == "none":
        assert compare_precision(network, CPU, "bf16").precision == "fp32"


def test_only_what_is_known_to_be_faster_is_tried():
    assert fast_precision(torch.device("cuda")) == "fp16"
    assert fast_precision(torch.device("mps")) is None
    assert fast_precision(CPU, "onnxruntime") is None
    assert choose_precision(residual(1), CPU, "onnxruntime").precision == "fp32"
    assert choose_precision(None, CPU).precision == "fp32"


def test_auto_gives_what_was_chosen():
    network, photograph = residual(1e-3), data.astronaut()[100:140, 150:190]
    chosen = Upscaler(network, device="cpu", precision="auto")
    assert chosen.choice is not None
    assert chosen.precision == chosen.choice.precision == (fast_precision(CPU) or "fp32")
    asked = Upscaler(network, device="cpu", precision=chosen.precision)
    assert asked.choice is None
    np.testing.assert_array_equal(chosen.upscale(photograph), asked.upscale(photograph))


def test_the_command_line_says_what_it_chose_and_why(run_cli, tmp_path):
    io.imsave(tmp_path / "photograph.png", data.astronaut()[100:140, 150:190])
    save_network(tmp_path / "plain.pth", build_network("FSRCNN", scale=2, init="bicubic"))
    common = ("upscale", "-i", tmp_path / "photograph.png", "-n", tmp_path / "plain.pth", "--device", "cpu")
    said = run_cli(*common, "-o", tmp_path / "auto.png", "--precision", "auto")
    assert said.returncode == 0, said.stderr
    assert re.search(r"^sr-kd upscale: precision fp32: .*(bf16 differs by|not known to be faster)", said.stderr, re.M)
    run_cli(*common, "-o", tmp_path / "fp32.png", "--quiet")
    assert (tmp_path / "auto.png").read_bytes() == (tmp_path / "fp32.png").read_bytes(), "fp32 was chosen"


def test_float16_serves_images_whose_sum_is_beyond_its_range():
    bright = np.full((200, 200), 0.9, np.float32)
    upscaler = Upscaler(build_network("FSRCNN", scale=2, init="bicubic"), device="cpu", precision="fp16")
    assert abs(upscaler.upscale(bright).mean() - 0.9) < 0.01
    assert upscaler.precision == "fp16"
