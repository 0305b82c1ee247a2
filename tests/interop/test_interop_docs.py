"""The snippets of docs/interoperability.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from sr_kd.export.export import export_network
from sr_kd.images import read_image
from sr_kd.imaging.load import find_network
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network

DOCUMENT = Path(__file__).parents[2] / "docs" / "interoperability.md"


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def run(code: str, folder: Path, repository: Path) -> None:
    path = f"import sys; sys.path.insert(0, {str(repository)!r})\n"
    finished = subprocess.run(
        [sys.executable, "-c", path + code], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "suffix"), [("onnxruntime", ".onnx"), ("cv2.dnn", ".onnx"), ("torch.floor(sr", ".pt2")]
)
def test_an_exported_model_in_a_few_lines(wanted, suffix, tmp_path, shared_images, repository):
    """Each snippet makes the image that our upscaler makes, to one gray level."""
    (code,) = (snippet for snippet in snippets("python") if wanted in snippet)
    _, network = find_network("fsrcnn_x2", None)
    export_network(network, tmp_path / f"fsrcnn_x2{suffix}", rgb=True)
    photo = read_image(shared_images / "benchmark/Set5/bird.png").pixels[:70, :90]
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    run(code, tmp_path, repository)
    upscaled = read_image(tmp_path / "upscaled.png").pixels.astype(int)
    assert np.abs(upscaled - Upscaler(network, device="cpu").upscale(photo)).max() <= 1


@pytest.mark.slow
def test_the_spandrel_snippet(tmp_path, repository):
    (code,) = (snippet for snippet in snippets("python") if "spandrel" in snippet)
    save_network(tmp_path / "student.safetensors", build_network("FSRCNN", scale=3))
    run(f"{code}\nassert model.scale == 3", tmp_path, repository)


def test_option_snippets_are_yaml_and_commands_exist():
    """The networks of the recipe snippet exist, and every command line is one of ours."""
    from sr_kd.cli.main import build_parser

    options = [yaml.safe_load(snippet) for snippet in snippets("yaml")]
    assert {"networks", "phases"} in [set(option) for option in options]
    commands = [line.split("#")[0].split()[1:] for line in snippets("bash")[0].splitlines()]
    assert len(commands) == 7
    for command in commands:
        assert build_parser("export").parse_args(command).command == "export"
