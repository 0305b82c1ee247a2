"""A detection recipe that runs in seconds on generated shapes."""

from __future__ import annotations

from pathlib import Path

import torch

from sr_kd.distributed import World
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.recipes.workspace import Workspace
from sr_kd.tasks.detection.options import DetectionRecipe

CPU = World(0, 1, torch.device("cpu"))


def shapes_options(folder: Path, phases: dict, iterations: int = 4, **changes: object) -> dict:
    """An option file whose phases last `iterations` unless they say otherwise; networks "teacher" and "student"."""
    common = {"total_iter": iterations, "optim": {"lr": 5e-3}, "losses": [{"type": "Detection"}]}
    options = {
        "name": "tiny",
        "task": "detection",
        "datasets": {
            "train": {"dataroot": "sr_kd:shapes", "images": 12, "batch_size_per_gpu": 4},
            "val": {"dataroot": "sr_kd:shapes", "images": 6},
        },
        "networks": {
            "teacher": {"type": "FCOS", "classes": 3, "width": 6, "pyramid": 12},
            "student": {"type": "FCOS", "classes": 3, "width": 4, "pyramid": 8},
        },
        "phases": {name: common | phase for name, phase in phases.items()},
        "logger": {"print_freq": 2, "save_checkpoint_freq": 3, "keep_checkpoints": 0, "use_tb_logger": False},
        "path": {name: str(folder / name) for name in ("experiments_root", "results_root", "tb_root")},
    }
    return options | changes


def shapes_recipe(folder: Path, phases: dict, iterations: int = 4, **changes: object) -> DetectionRecipe:
    """As `shapes_options`, as a recipe."""
    options = shapes_options(folder, phases, iterations, **changes)
    sets = options.pop("datasets")
    return DetectionRecipe.model_validate({**options, "train": sets["train"], "validation_sets": [sets["val"]]})


def run(recipe: DetectionRecipe, resume: bool = False) -> Workspace:
    """Check and run a recipe on the CPU."""
    return run_recipe(check_recipe(recipe), CPU, RunOptions(resume=resume))
