"""A network of a user's own in upscale, evaluate and export: from --plugin FILE, and from an installed package."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from sr_kd.config.plugins import load_plugins
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.load import load_model
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network

PLUGIN = '''\
from torch import nn

from sr_kd.networks import NETWORKS, SRNetwork, Tap
from sr_kd.networks.recognize import Recognized


class Shuffled(SRNetwork):
    """Two convolutions and a pixel shuffle."""

    type_name = "Shuffled"

    def __init__(self, scale: int, width: int = 8):
        super().__init__()
        self.arguments = {"scale": scale, "width": width}
        self.scales, self.color, self.receptive_radius = (scale,), "rgb", 2
        self.taps = {"body": Tap(width)}
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, 3 * scale**2, 3, padding=1)

    def stages(self):
        shuffle = nn.PixelShuffle(self.scale)
        return [
            ("body", lambda state, _: self.first(state).relu()),
            ("output", lambda state, _: shuffle(self.second(state))),
        ]

    @classmethod
    def detect(cls, tensors):
        """Ours, or those of a project that calls its layers conv1 and conv2."""
        renamed = {key.replace("conv1.", "first.").replace("conv2.", "second."): tensors[key] for key in tensors}
        if renamed.keys() != {"first.weight", "first.bias", "second.weight", "second.bias"}:
            return None
        width, rows = renamed["first.weight"].shape[0], renamed["second.weight"].shape[0]
        return Recognized(cls.type_name, {"scale": round((rows / 3) ** 0.5), "width": width}, renamed, "elsewhere")


def register():
    NETWORKS.register("Shuffled", Shuffled)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, a photograph, and its network in a file that describes itself and in one of another project."""
    root = tmp_path_factory.mktemp("plugin")
    (root / "shuffled.py").write_text(PLUGIN)
    write_image(root / "hr" / "astronaut.png", Image(data.astronaut()[:60, 90:170]))
    load_plugins(["shuffled.py"], root)
    network = build_network("Shuffled", scale=2)
    save_network(root / "ours.pth", network)
    theirs = {key.replace("first", "conv1").replace("second", "conv2"): v for key, v in network.state_dict().items()}
    torch.save(
        {"generator_ema": theirs, "net": {f"module.{key}": value for key, value in theirs.items()}}, root / "theirs.pth"
    )
    return root


def test_upscale_evaluate_and_export_take_it(run_cli, folder: Path) -> None:
    expected = load_model(folder / "ours.pth", device="cpu").upscale(read_image(folder / "hr/astronaut.png").pixels)
    scores = []
    for name in ("ours", "theirs"):
        model = ("-n", f"{name}.pth", "--plugin", "shuffled.py")
        upscaled = run_cli("upscale", *model, "-i", "hr", "-o", name, cwd=folder)
        assert upscaled.returncode == 0, upscaled.stderr
        assert np.array_equal(read_image(folder / name / "astronaut.png").pixels, expected)
        measure = ("evaluate", *model, "--hr", "hr", "-s", 2, "--json", "-", "--quiet", "--device", "cpu")
        evaluated = run_cli(*measure, cwd=folder)
        assert evaluated.returncode == 0, evaluated.stderr
        scores.append(json.loads(evaluated.stdout)["sets"][0]["psnr"])
    assert scores[0] == scores[1]
    exported = run_cli("export", "-n", "theirs.pth", "-o", "x.safetensors", "--plugin", "shuffled.py", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith("wrote x.safetensors: Shuffled x2, RGB in [0, 1]")


def test_without_the_plugin_the_file_is_one_sentence(run_cli, folder: Path) -> None:
    refused = run_cli("upscale", "-n", "ours.pth", "-i", "hr", "-o", "none", cwd=folder)
    assert refused.returncode == 1
    assert "ours.pth: unknown network 'Shuffled'" in refused.stderr and "--plugin FILE" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_installed_package_needs_no_option(run_cli, folder: Path, repository: Path) -> None:
    site = folder / "site"
    site.mkdir()
    (site / "shuffled_package.py").write_text(PLUGIN)
    (site / "broken_package.py").write_text("1 / 0\n")
    (site / "ending_package.py").write_text("raise SystemExit(0)\n")
    for name in ("shuffled_package", "broken_package", "ending_package"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sr_kd.plugins]\nnetworks = {name}:register\n")
    path = os.pathsep.join([str(site), str(repository)])
    arguments = ("upscale", "-n", "ours.pth", "-i", "hr", "-o", "installed")
    upscaled = run_cli(*arguments, cwd=folder, env={"PYTHONPATH": path})
    assert upscaled.returncode == 0, upscaled.stderr
    assert read_image(folder / "installed" / "astronaut.png").width == 160
    assert "plug-in broken_package:register was left out: ZeroDivisionError: division by zero" in upscaled.stderr
    assert "plug-in ending_package:register was left out: SystemExit: 0" in upscaled.stderr
