"""What CONTRIBUTING.md shows is done to a copy of the package, and works: a network, a loss, a metric, a format."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = {  # document -> where its code goes
    "training.md": "sr_kd/networks/tiny.py",
    "losses.md": "sr_kd/losses/sorted_means.py",
    "evaluation.md": "sr_kd/evaluation/metrics/gmsd.py",
}
USE = """
import numpy as np, torch
import sr_kd
from sr_kd.evaluation.metrics import find_metrics
from sr_kd.images import Image, read_image, write_image
from sr_kd.losses import SortedMeans

image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
write_image("lr.jp2", Image(image))
assert read_image("lr.jp2").pixels.shape == image.shape
sr_kd.save_network("tiny.pth", sr_kd.build_network("Tiny", scale=2))
tall = torch.arange(256.0).view(1, 16, 16)
assert find_metrics(["gmsd"])["gmsd"](tall, tall) == 0
assert SortedMeans.terms == ("sorted_means",)
print(sr_kd.__file__)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The package with every change of the document."""
    folder = tmp_path_factory.mktemp("contribution")
    shutil.copytree(repository / "sr_kd", folder / "sr_kd", ignore=shutil.ignore_patterns("__pycache__"))
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for difference in re.findall(r"```diff\n(.*?)```", text, re.DOTALL):
        subprocess.run(["git", "apply", "-"], input=difference, text=True, cwd=folder, check=True)
    for document, file in PARTS.items():
        page = (repository / "docs" / document).read_text(encoding="utf-8")
        (code,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def register" in code)
        (folder / file).write_text(code.partition("\n\n\ndef register")[0])
    (record,) = re.findall(r"```python\n(GMSD = .*?)```", text, re.DOTALL)
    with (folder / PARTS["evaluation.md"]).open("a") as metric:
        metric.write(f"\n\n{record}")
    return folder


@pytest.mark.slow
def test_every_contribution_works(copy: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    def run(*command: str) -> str:
        finished = subprocess.run(
            [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    assert str(copy) in run("-c", USE)
    run("-m", "sr_kd", "upscale", "-i", "lr.jp2", "-o", "sr.jp2", "-n", "tiny.pth", "--device", "cpu", "--quiet")
    assert (copy / "sr.jp2").is_file()
