"""A finished run to report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import IMAGE, write_options


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of photographs: train and val."""
    from skimage import data, io

    root = tmp_path_factory.mktemp("images")
    crops = {
        "train": {"brick": data.brick()[:96, :120], "camera": data.camera()[100:220, 180:300]},
        "val": {IMAGE: data.astronaut()[0:200, 120:320], "coffee": data.coffee()[100:180, 200:296]},
    }
    for part, found in crops.items():
        (root / part).mkdir()
        for name, pixels in found.items():
            io.imsave(root / part / f"{name}.png", pixels, check_contrast=False)
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, images: Path, run_cli: Callable) -> Path:
    """The folder in which the recipe ``tiny.yml`` has been run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    done = run_cli("train", "-opt", write_options(folder, images), "--quiet", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert f"wrote {folder / 'results' / 'tiny' / 'report.html'}" in done.stdout
    return folder
