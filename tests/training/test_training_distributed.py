"""Two gloo ranks and one process: the same gradients and, after a while, the same weights (float64)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import yaml
from digits import CPU, digits_recipe

import sr_kd.distributed
from sr_kd.distributed import joined
from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.files import load_network
from sr_kd.recipes.workspace import Workspace
from sr_kd.tasks.classification.images import open_labeled
from sr_kd.tasks.classification.task import Classification

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("two_rank_worker.py")
MUTUAL_WORKER = Path(__file__).with_name("two_rank_mutual_worker.py")
ADVERSARIAL_WORKER = Path(__file__).with_name("two_rank_adversarial_worker.py")
RECIPES_WORKER = Path(__file__).with_name("two_rank_recipes_worker.py")


def run(
    processes: int, output: Path, *arguments: str, timeout: float = 300, worker: Path = WORKER
) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return subprocess.run(
        [sys.executable, *launcher, str(worker), str(output), *arguments],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def train_by_two(recipe: Path) -> subprocess.CompletedProcess[str]:
    """The command line in two processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = ["-m", "sr_kd", "train", "-opt", str(recipe), "--device", "cpu"]
    return subprocess.run(
        [sys.executable, *launcher, *command],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory, photographs_folder):
    folder = tmp_path_factory.mktemp("ranks")
    saved = {}
    for processes in (1, 2):
        path = folder / f"{processes}.pt"
        result = run(processes, path, photographs_folder, "200")
        assert result.returncode == 0, result.stderr
        saved[processes] = torch.load(path, weights_only=True)
    return saved


@pytest.fixture(scope="module")
def photographs_folder(photographs):
    return str(photographs / "train")


def test_first_gradients_are_equal(weights):
    for name, gradient in weights[1]["gradients"].items():
        torch.testing.assert_close(weights[2]["gradients"][name], gradient, rtol=1e-9, atol=1e-15, msg=name)
    assert any("losses." in name for name in weights[1]["gradients"]), "adapters take part"


def test_weights_after_200_steps_are_equal(weights):
    for name, value in weights[1]["weights"].items():
        torch.testing.assert_close(weights[2]["weights"][name], value, rtol=0, atol=1e-9, msg=name)
    assert (weights[1]["weights"]["student.expanding.0.weight"] - weights[1]["start"]).abs().max() > 1e-4


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="system: needs Linux to list threads")
def test_no_thread_of_gloo_is_left_that_could_abort_the_end(tmp_path, photographs_folder):
    result = run(2, tmp_path / "few.pt", photographs_folder, "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("threads:") == 2
    assert "gloo" not in result.stdout


def test_adversarial_training_gives_the_same_weights(tmp_path, photographs_folder):
    """Those of the student, and of the discriminator, whose gradients are averaged by its own step."""
    saved = {}
    for processes in (1, 2):
        path = tmp_path / f"{processes}.pt"
        result = run(processes, path, photographs_folder, "20", worker=ADVERSARIAL_WORKER)
        assert result.returncode == 0, result.stderr
        saved[processes] = torch.load(path, weights_only=True)
    assert any("discriminator" in name for name in saved[1]["weights"])
    for name, value in saved[1]["weights"].items():
        torch.testing.assert_close(saved[2]["weights"][name], value, rtol=0, atol=1e-7, msg=name)
    for part in ("student.expanding.0.weight", "losses.Adversarial.discriminator.layers.0.weight"):
        assert (saved[1]["weights"][part] - saved[1]["start"][part]).abs().max() > 1e-4


def test_mutual_training_gives_the_same_weights(tmp_path, photographs_folder):
    saved = {}
    for processes in (1, 2):
        path = tmp_path / f"{processes}.pt"
        result = run(processes, path, photographs_folder, "12", worker=MUTUAL_WORKER)
        assert result.returncode == 0, result.stderr
        saved[processes] = torch.load(path, weights_only=True)
    for name, value in saved[1]["weights"].items():
        torch.testing.assert_close(saved[2]["weights"][name], value, rtol=0, atol=1e-9, msg=name)
        if name.endswith("weight"):
            assert not torch.equal(value, saved[1]["start"][name]), f"{name} was trained"


def test_two_ranks_through_the_command_line(write_recipe, tmp_path):
    # With a hint alone, the layers behind the tap get no gradient, which DDP has to be told.
    hint = {
        "needs": ["teacher"],
        "trains": "student",
        "total_iter": 3,
        "losses": [{"type": "Hint", "taps": ["mapping"]}],
    }
    recipe = write_recipe(datasets__train__batch_size_per_gpu=2, phases__hint=hint)
    result = train_by_two(recipe)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.pth").exists()
    logs = list((tmp_path / "experiments" / "tiny").glob("train_*.log"))
    assert len(logs) == 1
    assert logs[0].read_text().count("student begins") == 1, "one writer"


def test_a_dead_rank_ends_the_other_with_a_sentence(tmp_path, photographs_folder):
    result = run(2, tmp_path / "none.pt", photographs_folder, "200", "die", timeout=120)
    assert result.returncode != 0
    assert "another process of this run ended early" in result.stdout + result.stderr


def test_two_processes_measure_the_network_that_is_written(tmp_path):
    """Each has batch norm's statistics of its own images, until they validate."""
    recipe = digits_recipe(tmp_path, {"teacher": {"trains": "teacher"}}, 5)
    options = recipe.model_dump(mode="json", exclude={"train", "validation_sets"}, exclude_defaults=True)
    sets = {"train": recipe.train.model_dump(), "val": recipe.validation_sets[0].model_dump()}
    file = tmp_path / "options.yml"
    file.write_text(yaml.safe_dump({**options, "task": "classification", "datasets": sets}))
    result = train_by_two(file)
    assert result.returncode == 0, result.stderr
    workspace = Workspace(recipe)
    network = load_network(workspace.models("teacher", 0) / "net_g_latest.pth").network
    test = open_labeled("scikit-learn:digits", "test")
    options = {"batch_size": 1, "shift": 0, "hflip": False, "seed": 0, "stream": ""}
    expected = Classification(test, [test], **options, world=CPU).validate(network)
    assert workspace.result("teacher", 0)["scores"] == expected


def test_every_shipped_recipe_trains_in_two_processes(tmp_path, repository):
    """The recipes in options/train/foreign need weights that are not shipped; their students are among the others."""
    train = repository / "options" / "train"
    shipped = [file for part in ("*_x2*", "*digits", "*shapes") for file in sorted(train.rglob(f"{part}.yml"))]
    files = [str(file) for file in shipped if file.parent.name != "foreign"]
    assert any("carn" in file for file in files), "whose mean has four dimensions"
    result = run(2, Path(files[0]), *files[1:], worker=RECIPES_WORKER, timeout=900)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[0]) > 50


UNUSED = """
from torch import nn
from sr_kd.networks.base import SRNetwork, Tap
from sr_kd.networks.build import NETWORKS


class Unused(SRNetwork):
    type_name = "Unused"

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.arguments, self.scales, self.color = {"scale": scale}, (scale,), "y"
        self.taps, self.receptive_radius = {"body": Tap(8)}, 2
        self.body, self.spare_layer = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.last = nn.Sequential(nn.Conv2d(8, scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def stages(self):
        return [("body", lambda state, _: self.body(state)), ("output", lambda state, _: self.last(state))]


def register():
    NETWORKS.register("Unused", Unused)
"""


@pytest.mark.parametrize(("size", "rank"), [("x", "0"), ("2", "x"), ("2", "2"), ("0", "0"), ("2", "-1")])
def test_an_environment_that_torchrun_never_sets_is_refused_at_once(monkeypatch, size, rank):
    for name, value in {"WORLD_SIZE": size, "RANK": rank, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"the environment says WORLD_SIZE=.*: unset both"), joined("cpu"):
        pass


@pytest.mark.parametrize("rank", ["0", "1"])
def test_processes_that_never_start_are_waited_for_no_longer_than_said(monkeypatch, rank):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in {"WORLD_SIZE": "2", "RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sr_kd.distributed, "COMING", timedelta(seconds=1))
    expected = rf"rank {rank}: the 2 processes of this run did not come together at 127.0.0.1:{port} within"
    with pytest.raises(SrKdError, match=expected), joined("cpu"):
        pass


WAITING = """
import sys
import sr_kd.distributed
from sr_kd.cli.main import _stopped_by_signals

sr_kd.distributed.HEARING = 0.5
with _stopped_by_signals(), sr_kd.distributed.joined("cpu"):
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="system: no SIGTERM that could be heard")
def test_a_process_that_waits_within_pytorch_ends_by_a_signal(tmp_path):
    """Of two, where the second never comes: Python's own handler is not called before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **world, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    waiting = subprocess.Popen([sys.executable, "-c", WAITING], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        time.sleep(0.5)
        assert waiting.poll() is None
        waiting.terminate()
        assert "stopped while it waited for the other processes" in waiting.communicate(timeout=30)[1]
        assert waiting.returncode == 130
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.parametrize("find", [False, True])
def test_a_layer_without_gradient_is_named_or_found(write_recipe, tmp_path, find):
    (tmp_path / "unused.py").write_text(UNUSED)
    phase = {"trains": "student", "total_iter": 3, "losses": [{"type": "L1"}], "find_unused_parameters": find}
    recipe = write_recipe(
        plugins=["unused.py"], networks={"student": {"type": "Unused"}}, phases={"only": phase},
        datasets__train__batch_size_per_gpu=2,
    )  # fmt: skip
    result = train_by_two(recipe)
    assert (result.returncode == 0) == find, result.stderr
    if not find:
        assert "student.spare_layer got no gradient" in result.stderr
        assert "set 'find_unused_parameters: true' in the phase" in result.stderr
        assert "loop.py" not in result.stderr, "no traceback but that of torchrun itself"
