"""`targets: teacher`: the teacher's images, made once and whole, in place of HR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sr_kd.data.pool import DecodedImages
from sr_kd.data.sets import open_set
from sr_kd.images import Image, write_image
from sr_kd.imaging.load import load_model

PHASE = {"trains": "student", "total_iter": 6, "optim": {"lr": 1e-2}, "losses": [{"type": "L1"}]}
TAUGHT = {"teacher": "teacher", "targets": "teacher"}
STUDENT = {"type": "FSRCNN", "init": "bicubic"}
SEER = {"type": "PrivilegedTeacher", "encoder": {"type": "Hourglass"}, "decoder": {"type": "FSRCNN"}}
IMAGES = {"dataroot_gt": "scikit-image:train"}


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe with a phase `taught`; networks: fsrcnn_x2_large as "teacher", and "student"."""

    def write(name: str, train: dict, phase: dict, networks: dict | None = None, **phases: dict) -> Path:
        content = {
            "name": name,
            "scale": 2,
            "datasets": {"train": {"gt_size": 48, "batch_size_per_gpu": 2, "num_worker_per_gpu": 0, **train}},
            "networks": networks or {"teacher": {"type": "file", "path": "fsrcnn_x2_large"}, "student": STUDENT},
            "phases": {"taught": PHASE | phase, **phases},
        }
        path = tmp_path / f"{name}.yml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "experiments" / name / "models" / "net_g_latest.pth", weights_only=True)["params"]


def test_the_pool_holds_what_the_network_makes_of_each_whole_image():
    images = open_set("scikit-image:held_out", scale=2)
    decoded = DecodedImages(images, torch.device("cpu"), quiet=True)
    upscaler = load_model("fsrcnn_x2", device="cpu")
    taught = decoded.upscaled(upscaler.upscale, "teacher", quiet=True)
    for index in range(len(images)):
        lr = images.read(index).lr
        lr = np.ascontiguousarray(np.broadcast_to(lr, (*lr.shape[:2], images.channels)))
        assert np.array_equal(decoded.lr.image(index), lr)
        assert np.array_equal(taught.hr.image(index), upscaler.upscale(lr))
        assert not np.array_equal(taught.hr.image(index), decoded.hr.image(index))
    assert taught.lr is decoded.lr


@pytest.mark.slow
def test_a_phase_learns_what_it_would_from_labels_in_files(recipe, run_cli, tmp_path):
    """The same bits as training on a folder that sr-kd label made, beside HR or without; other bits than from HR."""
    lr = tmp_path / "lr"
    for name in ("a", "b"):
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (9, 8, 3), np.uint8)
        write_image(lr / f"{name}.png", Image(np.kron(pixels, np.ones((4, 4, 1), np.uint8))))
        write_image(tmp_path / "hr" / f"{name}.png", Image(np.zeros((72, 64, 3), np.uint8)))
    labeled = run_cli("label", "-n", "fsrcnn_x2_large", "-i", lr, "-o", tmp_path / "labels", "--device", "cpu")
    assert labeled.returncode == 0, labeled.stderr
    pairs = {"dataroot_gt": str(tmp_path / "hr"), "dataroot_lq": str(lr)}
    paths = [
        recipe("files", {"dataroot_gt": str(tmp_path / "labels"), "dataroot_lq": str(lr)}, {}),
        recipe("stored", pairs, TAUGHT),
        recipe("lr_alone", {"dataroot_lq": str(lr)}, TAUGHT),
        recipe("plain", pairs, {}),
    ]
    for path in paths:
        done = run_cli("train", "-opt", path, "--device", "cpu", "--quiet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    files, stored, alone, plain = (weights(tmp_path, path.stem) for path in paths)
    assert all(torch.equal(value, stored[key]) for key, value in files.items())
    assert all(torch.equal(value, alone[key]) for key, value in files.items())
    assert not all(torch.equal(value, plain[key]) for key, value in files.items())


@pytest.mark.parametrize(
    ("train", "phase", "more", "sentence"),
    [
        ({}, {"teacher": None}, {"networks": {"student": STUDENT}}, "is 'teacher', but there is none: name"),
        ({"degradation": {}}, {}, {}, "whose images are made once, but 'degradation' makes other LR patches"),
        ({}, {"targets": "techer"}, {}, "key 'phases.taught.targets' must be"),
        (
            {},
            {"needs": ["first"], "teacher": "first"},
            {"networks": {"student": STUDENT, "seer": SEER}, "first": PHASE | {"trains": "seer"}},
            "is 'teacher', but 'seer' sees HR itself",
        ),
    ],
)
def test_what_cannot_make_images_is_refused(recipe, run_cli, train, phase, more, sentence):
    path = recipe("wrong", IMAGES | train, TAUGHT | phase, **more)
    refused = run_cli("check", "-opt", path, "--no-data")
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_too_many_images_for_the_memory_are_refused(recipe, run_cli):
    path = recipe("large", IMAGES | {"memory_budget": 0.0001}, TAUGHT)
    refused = run_cli("train", "-opt", path, "--device", "cpu", "--quiet", cwd=path.parent)
    assert refused.returncode == 2
    assert "do not fit into memory_budget, 0.0001 GiB" in refused.stderr
