import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from sr_kd.images import Image, read_image, write_image


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="system: limits of memory are Linux's")
def test_a_large_image_and_little_memory(tmp_path):
    """Whole, a feature map of the large image takes 150 MB: tiles become smaller, and nothing is lost."""
    photograph = np.tile(skimage.data.astronaut(), (2, 2, 1))
    sizes = {"a.png": (64, 64), "b.png": (920, 920), "c.png": (50, 70)}
    for name, (height, width) in sizes.items():
        write_image(tmp_path / "in" / name, Image(photograph[:height, :width]))
    said, psnr = [], []
    for spare in (0, 320):
        finished = subprocess.run(
            [
                sys.executable,
                Path(__file__).with_name("memory_worker.py"),
                tmp_path / "in",
                tmp_path / f"{spare}",
                f"{spare}",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert finished.returncode == 0, finished.stderr
        *outcomes, score = finished.stdout.splitlines()
        assert outcomes == ["a.png done", "b.png done", "c.png done"]
        said.append(finished.stderr)
        psnr.append(float(score))
    assert "out of memory" not in said[0]
    assert "out of memory on cpu: going on with tiles of 460 pixels" in said[1]
    assert psnr[1] == pytest.approx(psnr[0], abs=1e-4)
    for name in sizes:
        whole, tiled = (read_image(tmp_path / folder / name).pixels.astype(int) for folder in ("0", "320"))
        assert np.abs(whole - tiled).max() <= 1
