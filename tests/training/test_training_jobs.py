"""Phases and seeds side by side: the bits of one after the other; what is killed or fails harms nothing else."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import yaml

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(write_recipe):
    def write(**changes) -> Path:
        path = write_recipe(seeds=[0, 1], phases__teacher__total_iter=8, **changes)
        content = yaml.safe_load(path.read_text())
        content["phases"]["alone"] = {"trains": "student", "total_iter": 8, "losses": [{"type": "L1"}]}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def networks(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    models = folder / "experiments" / "tiny" / "models"
    return {
        str(path.relative_to(models)): torch.load(path, weights_only=True)["params"]
        for path in sorted(models.rglob("net_g_latest.pth"))
    }


def test_the_same_bits_as_one_after_the_other(recipe, run_cli, tmp_path):
    path = recipe()
    one = run_cli("train", "-opt", path, "--device", "cpu", "--quiet")
    assert one.returncode == 0, one.stderr
    alone = networks(tmp_path)
    both = run_cli("train", "-opt", path, "--device", "cpu", "--jobs", 2)
    assert both.returncode == 0, both.stderr
    assert "tiny: 100%" in both.stderr
    assert "net_g_latest.pth" in both.stdout
    assert "table.md" in both.stdout
    beside = networks(tmp_path)
    assert alone.keys() == beside.keys()
    assert len(alone) == 6
    for name, parameters in alone.items():
        assert all(torch.equal(value, beside[name][key]) for key, value in parameters.items()), name
    assert "--jobs 2" not in (tmp_path / "results" / "tiny" / "table.md").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="system: looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_a_stopped_one(recipe, start_cli, run_cli, tmp_path, number):
    path = recipe(phases__student__total_iter=20_000, logger__save_checkpoint_freq=5)
    process = start_cli("train", "-opt", path, "--device", "cpu", "--jobs", 2, "--quiet")
    states = tmp_path / "experiments" / "tiny" / "training_states"
    wait_for(lambda: any(states.glob("student_seed*/*.state")) or process.poll() is not None)
    started = descendants(process.pid)
    assert started
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    wait_for(lambda: not any(map(is_running, started)))
    assert "Traceback" not in errors
    if number == signal.SIGTERM:
        assert process.returncode == 1
        assert "continue with --auto_resume" in errors
    override = ("--force_yml", "phases:student:total_iter=20000")
    assert run_cli("check", "-opt", path).returncode == 0
    status = run_cli("status", path, *override)
    assert "alone  " in status.stdout, status.stderr


def test_what_fails_is_named_and_the_rest_is_finished(recipe, run_cli, tmp_path):
    path = recipe(phases__student__optim={"lr": 1e12, "type": "SGD"})
    finished = run_cli("train", "-opt", path, "--device", "cpu", "--jobs", 2, "--quiet")
    assert finished.returncode == 1
    assert "student_seed0: " in finished.stderr
    assert "student_seed1: " in finished.stderr
    assert "Traceback" not in finished.stderr
    done = {file.parent.name for file in (tmp_path / "experiments").rglob("finished.json")}
    assert done == {"teacher_seed0", "teacher_seed1", "alone_seed0", "alone_seed1"}


def test_wrong_use(recipe, run_cli):
    path = recipe()
    for flags, message in (
        (["--jobs", 0], "is a number of processes from 1 on, or auto, not '0'"),
        (["--jobs", 2, "--seeds", 1], "leave out --seeds"),
    ):
        refused: subprocess.CompletedProcess[str] = run_cli("train", "-opt", path, *flags)
        assert refused.returncode == 2
        assert message in refused.stderr


def wait_for(condition, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def descendants(process: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *descendants(child)]
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
