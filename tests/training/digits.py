"""A classification recipe that runs in seconds on scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import torch

from sr_kd.distributed import World
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.recipes.workspace import Workspace
from sr_kd.tasks.classification.options import ClassificationRecipe

CPU = World(0, 1, torch.device("cpu"))


def digits_recipe(folder: Path, phases: dict, iterations: int = 8, **changes: object) -> ClassificationRecipe:
    """A recipe whose phases last `iterations` unless they say otherwise; networks "teacher" and "student"."""
    common = {"total_iter": iterations, "optim": {"lr": 2e-3}, "losses": [{"type": "CrossEntropy"}]}
    recipe = {
        "name": "tiny",
        "task": "classification",
        "train": {"dataroot": "scikit-learn:digits", "batch_size_per_gpu": 16, "shift": 1},
        "validation_sets": [{"dataroot": "scikit-learn:digits"}],
        "networks": {
            "teacher": {"type": "ResNet", "classes": 10, "channels": 1, "blocks": 1, "width": 4},
            "student": {"type": "ResNet", "classes": 10, "channels": 1, "blocks": 1, "width": 2},
        },
        "phases": {name: common | options for name, options in phases.items()},
        "logger": {"print_freq": 4, "save_checkpoint_freq": 3, "keep_checkpoints": 0, "use_tb_logger": False},
        "path": {name: str(folder / name) for name in ("experiments_root", "results_root", "tb_root")},
    }
    return ClassificationRecipe.model_validate(recipe | changes)


def run(recipe: ClassificationRecipe, resume: bool = False) -> Workspace:
    """Check and run a recipe on the CPU."""
    return run_recipe(check_recipe(recipe), CPU, RunOptions(resume=resume))
