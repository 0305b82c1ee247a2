"""``type: file`` in recipes: whatever network a file holds, ours or another project's, as teacher and student."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from sr_kd.config.phase import NetworkOptions
from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network
from sr_kd.recipes.networks import build_network_from


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """A small network of Real-ESRGAN, as its project saves it."""
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2)
    torch.save({"params": network.state_dict()}, tmp_path / "compact.pth")
    return tmp_path / "compact.pth"


def recipe(folder: Path, images: Path, networks: dict, student: dict) -> Path:
    options = {
        "name": "from_file",
        "scale": 2,
        "datasets": {"train": {"dataroot_gt": str(images), "gt_size": 48, "batch_size_per_gpu": 2}},
        "networks": networks,
        "phases": {"student": {"trains": "student", "total_iter": 2, **student}},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
    }
    (folder / "recipe.yml").write_text(yaml.safe_dump(options))
    return folder / "recipe.yml"


def trained(folder: Path) -> Path:
    (path,) = (folder / "experiments").rglob("net_g_latest.pth")
    return path


@pytest.mark.slow
def test_a_file_of_another_project_teaches(compact, shared_images, tmp_path, run_cli):
    networks = {
        "teacher": {"type": "file", "path": str(compact), "taps": ["body.2"]},
        "student": {"type": "FSRCNN"},
    }
    losses = [
        {"type": "L1"},
        {"type": "Response", "weight": 0.5},
        {"type": "VID", "weight": 1e-4, "taps": [{"student": "expanding", "teacher": "body.2"}]},
    ]
    path = recipe(tmp_path, shared_images / "benchmark/Set5", networks, {"teacher": "teacher", "losses": losses})
    finished = run_cli("train", "-opt", path, "--device", "cpu", "--quiet", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert load_network(trained(tmp_path)).network.type_name == "FSRCNN"


@pytest.mark.slow
def test_a_file_of_another_project_is_trained_further(compact, shared_images, tmp_path, run_cli):
    """The result is read by us and, by its bare weights, by the other project's own class."""
    networks = {"student": {"type": "file", "path": str(compact)}}
    path = recipe(tmp_path, shared_images / "benchmark/Set5", networks, {"losses": [{"type": "L1"}]})
    finished = run_cli("train", "-opt", path, "--device", "cpu", "--quiet", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    before = torch.load(compact, weights_only=True)["params"]
    after = torch.load(trained(tmp_path), weights_only=True)["params"]
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    again = load_network(trained(tmp_path)).network.state_dict()
    assert all(torch.equal(again[key], after[key]) for key in after)


def test_a_file_of_ours_needs_no_options(tmp_path):
    network = build_network("FSRCNN", scale=2, d=20)
    save_network(tmp_path / "student.pth", network)
    found = build_network_from(NetworkOptions(type="file", path=str(tmp_path / "student.pth")), 2)
    assert found.arguments == network.arguments
    assert torch.equal(found.last_layer.weight, network.last_layer.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the option 'path'"),
        ({"path": "student.pth", "d": 20}, "has no options but 'path' and 'taps'"),
        ({"path": "student.pth", "init": "bicubic"}, "has no options but 'path' and 'taps'"),
        ({"path": "student.pth", "taps": ["body.0"]}, "network FSRCNN has no option 'taps'"),
        ({"path": "stuent.pth"}, "no file and no shipped model is called 'stuent.pth'"),
    ],
)
def test_what_a_file_cannot_be_is_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    save_network("student.pth", build_network("FSRCNN", scale=2))
    with pytest.raises(SrKdError, match=message):
        build_network_from(NetworkOptions(type="file", **options), 2)


def test_a_file_of_another_scale_is_refused(tmp_path):
    save_network(tmp_path / "student.pth", build_network("FSRCNN", scale=3))
    with pytest.raises(UsageError, match="serves x3, not x2"):
        build_network_from(NetworkOptions(type="file", path=str(tmp_path / "student.pth")), 2)
