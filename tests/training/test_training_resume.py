"""A run that was killed and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sr_kd.training.checkpoint import read_state

pytestmark = pytest.mark.slow


def start(recipe, *flags):
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "sr_kd", "train", "-opt", str(recipe), "--device", "cpu", *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_same(left, right, where=""):
    assert type(left) is type(right), where
    if isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    else:
        assert left == right, where


def final_states(root):
    folder = root / "experiments" / "tiny" / "training_states"
    return {
        phase: read_state(folder / phase / f"{length}.state") for phase, length in (("teacher", 60), ("student", 90))
    }


@pytest.fixture
def long_recipe(write_recipe):
    return lambda: write_recipe(
        phases__teacher__total_iter=60,
        phases__student__total_iter=90,
        phases__student__optim={"type": "SOAP", "lr": 1e-3},
        phases__student__losses=[{"type": "L1"}, {"type": "VID", "gradient_ratio": 0.1, "taps": ["expanding"]}],
        logger__save_checkpoint_freq=7,
    )


@pytest.fixture
def uninterrupted(long_recipe, tmp_path):
    process = start(long_recipe())
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    states = final_states(tmp_path)
    (tmp_path / "experiments").rename(tmp_path / "whole")
    return states


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_random_moments_and_resumed(uninterrupted, long_recipe, tmp_path, number):
    recipe = long_recipe()
    moments = random.Random(int(number))
    kills = 0
    for _ in range(40):
        process = start(recipe, "--auto_resume", "--quiet")
        states = tmp_path / "experiments" / "tiny" / "training_states"
        before = {path.name for path in states.rglob("*.state")}
        # Wait until this process has saved something, so that every round makes progress.
        while process.poll() is None and {path.name for path in states.rglob("*.state")} <= before:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.5))
        if process.poll() is None and kills < 4:
            process.send_signal(number)
            kills += 1
        output, _ = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert "Traceback" not in output
    assert process.returncode == 0, output
    assert kills >= 2
    assert_same(final_states(tmp_path), uninterrupted)


def test_a_finished_run_says_so(long_recipe, write_recipe, tmp_path):
    recipe = write_recipe()
    assert start(recipe).wait(300) == 0
    process = start(recipe, "--auto_resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "student is finished already (16 iterations)" in output


def test_a_changed_recipe_is_refused(write_recipe):
    assert start(write_recipe()).wait(300) == 0
    process = start(write_recipe(phases__student__optim={"lr": 5e-4}), "--auto_resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "phases.student.optim.lr: 0.001 then, 0.0005 now" in output


def test_seeds_in_processes_of_their_own_give_the_same_run(write_recipe, tmp_path):
    recipe = write_recipe(seeds=[0, 1])
    beside = [start(recipe, "--seeds", str(seed)) for seed in (0, 1)]
    outputs = [process.communicate(timeout=300)[0] for process in beside]
    assert [process.returncode for process in beside] == [0, 0], outputs
    table = tmp_path / "results" / "tiny" / "table.md"
    assert table.exists(), "the last of them writes the tables"
    networks = tmp_path / "experiments" / "tiny" / "models"
    files = ["net_g_latest.pth", "student_seed1/net_g_latest.pth"]
    apart = [torch.load(networks / file, weights_only=True)["params"] for file in files]
    table.unlink()
    process = start(recipe)  # archives them
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    for file, parameters in zip(files, apart, strict=True):
        assert_same(parameters, torch.load(networks / file, weights_only=True)["params"])
