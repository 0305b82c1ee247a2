"""Training on degraded patches: a resumed run ends with the same bits."""

from __future__ import annotations

import pytest
import torch
from digits import CPU

from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.training.checkpoint import read_state


@pytest.mark.parametrize("color", ["y", "rgb"])
def test_a_resumed_run_ends_with_the_same_weights(write_recipe, color):
    options = {"degradation": {"noise_prob": 1, "jpeg_prob": 1}, "gt_size": 32, "batch_size_per_gpu": 4}
    path = write_recipe(
        networks={"student": {"type": "FSRCNN", "d": 12, "s": 8, "m": 1, "color": color}},
        phases={"student": {"trains": "student", "total_iter": 7}},
        **{f"datasets__train__{key}": value for key, value in options.items()},
    )
    recipe = load_recipe(path)
    workspace = run_recipe(check_recipe(recipe), CPU)
    folder = workspace.states("student", 0).folder
    whole = read_state(folder / "7.state")["step"]
    for file in ("7.state", "finished.json"):
        (folder / file).unlink()
    run_recipe(check_recipe(recipe), CPU, RunOptions(resume=True))
    again = read_state(folder / "7.state")["step"]
    assert whole.keys() == again.keys() and all(torch.equal(value, again[name]) for name, value in whole.items())
