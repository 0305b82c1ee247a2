"""A recipe small enough to run in seconds, on real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of small crops of real photographs: train (4 images) and val (2)."""
    from skimage import data, io

    root = tmp_path_factory.mktemp("photographs")
    crops = {
        "train": {"brick": data.brick()[:96, :120], "camera": data.camera()[100:220, 180:300]},
        "val": {"astronaut": data.astronaut()[0:96, 150:250], "coffee": data.coffee()[100:180, 200:296]},
    }
    crops["train"] |= {"left": data.stereo_motorcycle()[0][200:320, 300:420], "grass": data.grass()[:100, :100]}
    for part, images in crops.items():
        (root / part).mkdir()
        for name, pixels in images.items():
            io.imsave(root / part / f"{name}.png", pixels, check_contrast=False)
    return root


@pytest.fixture
def write_recipe(photographs: Path, tmp_path: Path) -> Callable[..., Path]:
    """``write_recipe(**changes)`` writes a PISR recipe and returns its path; experiments land in tmp_path."""

    def write(file_name: str = "recipe.yml", **changes: object) -> Path:
        recipe: dict = {
            "name": "tiny",
            "scale": 2,
            "datasets": {
                "train": {
                    "dataroot_gt": str(photographs / "train"),
                    "gt_size": 32,
                    "batch_size_per_gpu": 4,
                },
                "val": {"name": "val", "dataroot_gt": str(photographs / "val")},
            },
            "networks": {
                "teacher": {
                    "type": "PrivilegedTeacher",
                    "encoder": {"type": "Hourglass", "init": "bicubic"},
                    "decoder": {"type": "FSRCNN", "init": "bicubic"},
                },
                "student": {"type": "FSRCNN", "init": "bicubic"},
            },
            "phases": {
                "teacher": {
                    "trains": "teacher",
                    "total_iter": 12,
                    "optim": {"lr": 1e-3},
                    "losses": [{"type": "L1"}, {"type": "Imitation", "weight": 1e-2}],
                },
                "student": {
                    "needs": ["teacher"],
                    "trains": "student",
                    "init": {"from": "teacher", "part": "decoder"},
                    "total_iter": 16,
                    "ema_decay": 0.9,
                    "optim": {"lr": 1e-3},
                    "scheduler": {"type": "cosine", "eta_min": 1e-5},
                    "losses": [{"type": "L1"}, {"type": "VID", "weight": 1e-4, "taps": ["expanding"]}],
                },
            },
            "val": {"val_freq": 8},
            "logger": {"print_freq": 4, "save_checkpoint_freq": 5},
            "path": {
                "experiments_root": str(tmp_path / "experiments"),
                "results_root": str(tmp_path / "results"),
                "tb_root": str(tmp_path / "tb_logger"),
            },
        }
        for key, value in changes.items():
            section = recipe
            *parents, last = key.split("__")
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        path = tmp_path / file_name
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    return write
