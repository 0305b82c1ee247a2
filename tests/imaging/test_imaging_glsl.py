"""Shaders for mpv: what their text computes, and what libplacebo makes of them."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import torch

from sr_kd.errors import SrKdError, UsageError
from sr_kd.export.export import export_network
from sr_kd.export.glsl_run import run_shader
from sr_kd.imaging.probe import probes
from sr_kd.networks.base import SRNetwork
from sr_kd.networks.build import build_network


def trained(scale: int, **arguments: object) -> SRNetwork:
    """A small network whose output is of an image's size, with values that no symmetry hides."""
    torch.manual_seed(scale)
    network = build_network("FSRCNN", scale=scale, d=10, s=6, m=2, init="bicubic", **arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("skip", ["none", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_text_computes_what_the_network_does(tmp_path, scale, skip):
    network = trained(scale, skip=skip, slope_per_channel=scale == 3)
    exported = export_network(network, tmp_path / "net.glsl")
    assert exported.difference < 0.01
    text = exported.path.read_text()
    image = torch.rand(2, 1, 9, 14)
    with torch.no_grad():
        torch.testing.assert_close(run_shader(text, image), network(image), atol=1e-5, rtol=0)


def test_a_changed_weight_is_noticed(tmp_path):
    text = export_network(trained(2), tmp_path / "net.glsl").path.read_text()
    image = torch.rand(1, 1, 9, 14)
    start = text.index("mat4(")
    changed = text[:start] + "mat4(9" + text[start + 5 :]
    assert (run_shader(changed, image) - run_shader(text, image)).abs().max() > 0.1
    with pytest.raises(SrKdError, match="a line of the shader is not understood: discard;"):
        run_shader(text.replace("return r;", "discard;", 1), image)


def test_what_no_shader_can_be_written_of_is_refused(tmp_path):
    with pytest.raises(UsageError, match="of FSRCNN on luma, not of FSRCNN on rgb"):
        export_network(build_network("FSRCNN", scale=2, color="rgb"), tmp_path / "net.glsl")
    with pytest.raises(UsageError, match="of FSRCNN on luma, not of VDSR on y"):
        export_network(build_network("VDSR", scale=2), tmp_path / "net.glsl")
    with pytest.raises(UsageError, match="up to 60 channels; this network's have 64"):
        export_network(build_network("FSRCNN", scale=2, d=64), tmp_path / "net.glsl")
    for options in ({"rgb": True}, {"precision": "fp16"}):
        with pytest.raises(UsageError, match=r"a \.glsl file works on luma, in the player's precision"):
            export_network(trained(2), tmp_path / "net.glsl", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("skip", ["none", "bicubic"])
def test_libplacebo_runs_it(tmp_path, skip):
    """By ffmpeg, headless, on a software Vulkan driver as well as on a graphics card."""
    filters = shutil.which("ffmpeg") and subprocess.run(["ffmpeg", "-filters"], capture_output=True, text=True).stdout
    if not filters or " libplacebo " not in filters:
        pytest.skip("system: needs an ffmpeg with the filter libplacebo")
    network = trained(3, skip=skip)
    export_network(network, tmp_path / "net.glsl")
    luma = (255 * next(probes(1))[0, 0]).round().byte().numpy()[:40, :56]
    height, width = luma.shape
    (tmp_path / "lr.yuv").write_bytes(luma.tobytes() + bytes([128]) * (2 * luma.size))
    chain = (
        f"format=yuv444p,hwupload,libplacebo=w={width * 3}:h={height * 3}:format=yuv444p16:dithering=none:deband=0"
        f":custom_shader_path=net.glsl,hwdownload,format=yuv444p16"
    )
    device = "-v error -init_hw_device vulkan=v:0 -filter_hw_device v"
    raw = f"-f rawvideo -s {width}x{height} -pix_fmt yuv444p -color_range tv -colorspace bt709"
    finished = subprocess.run(
        f"ffmpeg {device} {raw} -i lr.yuv -vf {chain} -f rawvideo sr.yuv".split(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "evice creation failed" in finished.stderr or "ulkan" in finished.stderr.partition("\n")[0]:
        pytest.skip(f"system: no Vulkan driver: {finished.stderr.splitlines()[0]}")
    assert finished.returncode == 0, finished.stderr
    found = np.fromfile(tmp_path / "sr.yuv", "<u2").reshape(3, height * 3, width * 3)[0] / 256
    with torch.no_grad():
        expected = 255 * network(torch.from_numpy(luma)[None, None] / 255)[0, 0].numpy()
    difference = np.abs(found.clip(16, 235) - expected.clip(16, 235))  # beyond luma's range in video players differ
    assert difference.max() < 3
    assert difference.mean() < 0.5
