"""Files for phones: ncnn's are run and compared, Core ML's are converted and read back."""

from __future__ import annotations

import json

import ncnn
import numpy as np
import pytest
import torch

from sr_kd.errors import SrKdError, UsageError
from sr_kd.export.export import export_network
from sr_kd.export.layers import of_layers
from sr_kd.export.ncnn import upscale_of_layers
from sr_kd.export.tflite import upscale_of_slices
from sr_kd.imaging.graph import assemble
from sr_kd.networks.base import SRNetwork
from sr_kd.networks.bicubic import upscale, upscale_by_convolution
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "scale", "options", "rgb"),
    [
        ("FSRCNN", 3, {}, False),
        ("FSRCNN", 2, {"skip": "bicubic"}, True),
        ("FSRCNN", 4, {"skip": "bicubic", "color": "rgb"}, False),
        ("CARN", 2, {"skip": "bicubic", "variant": "mobile"}, False),
        ("IDN", 2, {}, False),
        ("VDSR", 2, {}, False),
    ],
)
def test_ncnn_computes_what_the_network_does(tmp_path, name, scale, options, rgb):
    network = build_network(name, scale=scale, init="default", **options).eval()
    exported = export_network(network, tmp_path / "net.ncnn.param", rgb=rgb)
    assert exported.difference is not None
    assert exported.difference < 0.01
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.ncnn.bin", "net.ncnn.param"]
    read = ncnn.Net()
    assert read.load_param(str(tmp_path / "net.ncnn.param")) == read.load_model(str(tmp_path / "net.ncnn.bin")) == 0
    image = torch.rand(1, 3 if rgb else network.channels, 21, 30)
    expected = assemble(network, rgb=rgb, precision="fp32")
    extractor = read.create_extractor()
    extractor.input("in0", ncnn.Mat(image[0].numpy()).clone())
    with torch.no_grad():  # ncnn's default precision, half where the processor has it
        np.testing.assert_allclose(np.array(extractor.extract("out0")[1]), expected(image)[0].numpy(), atol=2 / 255)


@pytest.mark.parametrize("upscale_of", [upscale_of_layers, upscale_of_slices])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_upscaling_of_plain_layers(upscale_of, scale):
    x = torch.rand(2, 3, 2, 7)
    torch.testing.assert_close(upscale_of(x, scale), upscale(x, scale), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rgb", [False, True])
def test_what_litert_is_given_computes_what_the_network_does(rgb):
    network = build_network("FSRCNN", scale=3, skip="bicubic", init="default").eval().deploy()
    image = torch.rand(1, 3 if rgb else 1, 12, 9)
    expected = assemble(network, rgb=rgb, precision="fp32")(image)
    found = of_layers(network, rgb=rgb, upscale=upscale_of_slices)(image)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_tflite_without_its_packages_is_one_sentence(tmp_path):
    """scripts/try_wheel.py converts with them, in an environment of its own."""
    network = build_network("FSRCNN", scale=2)
    with pytest.raises(UsageError, match=r"pip install 'sr_kd\[tflite\]'"):
        export_network(network, tmp_path / "net.tflite")
    for suffix, size, words in (
        (".pt2", (9, 9), "is for .tflite files"),
        (".tflite", (1, 9), "9x1 pixels is too small"),
    ):
        with pytest.raises(UsageError, match=words):
            export_network(network, tmp_path / f"net{suffix}", input_size=size)
    assert not list(tmp_path.iterdir())


class Mirrored(SRNetwork):
    """Bicubic upscaling as torch exports it: its border is gathered, which pnnx does not know."""

    type_name = "Mirrored"

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.arguments, self.scales, self.color, self.receptive_radius = {"scale": scale}, (scale,), "y", 2

    def stages(self):
        return [("output", lambda x, _: upscale_by_convolution(x, self.scale))]


def test_what_pnnx_cannot_convert_leaves_nothing(tmp_path):
    network = Mirrored(2).eval()
    with pytest.raises(SrKdError, match=r"pnnx cannot convert Mirrored to ncnn; \.onnx files suit most"):
        export_network(network, tmp_path / "net.param")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=r"a \.param file has its weights in fp32"):
        export_network(network, tmp_path / "net.param", precision="fp16")


@pytest.mark.parametrize(("precision", "rgb"), [("fp32", True), ("fp16", False)])
def test_core_ml(tmp_path, precision, rgb, run_cli):
    import coremltools

    save_network(tmp_path / "net.pth", build_network("FSRCNN", scale=2, skip="bicubic", init="bicubic"))
    options = ("-n", tmp_path / "net.pth", "-o", tmp_path / "net.mlpackage", "--precision", precision)
    finished = run_cli("export", *options, *(["--rgb"] if rgb else []))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip().endswith(f"{precision}; converted, not run: Core ML runs on macOS")
    assert finished.stderr == ""
    model = coremltools.models.MLModel(str(tmp_path / "net.mlpackage"), skip_model_load=True)
    about = json.loads(model.user_defined_metadata["sr_kd"])
    assert (about["scale"], about["color"], about["precision"]) == (2, "rgb" if rgb else "y", precision)
    (given,), (made,) = model.get_spec().description.input, model.get_spec().description.output
    float32 = 65568  # coremltools.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    assert (given.name, given.type.multiArrayType.dataType) == ("lr", float32)
    assert (made.name, made.type.multiArrayType.dataType) == ("sr", float32)
    bounds = [size.upperBound for size in given.type.multiArrayType.shapeRange.sizeRanges]
    assert [bound > 1000 for bound in bounds] == [True, False, True, True]
    again = run_cli("export", *options)
    assert again.returncode == 2
    assert "exists already, and a folder is not written over: remove it first" in again.stderr
