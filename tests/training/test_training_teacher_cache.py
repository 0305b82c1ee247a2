"""`fixed_batches`: what a frozen teacher makes of batches that recur is computed once, and changes no bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

import sr_kd
from sr_kd.tasks.super_resolution.task import SuperResolution

COUNT = 3
LOSSES = [{"type": "L1"}, {"type": "Feature", "weight": 0.1, "taps": ["expanding"]}, {"type": "Response"}]


@pytest.fixture
def train(tmp_path: Path, monkeypatch):
    """``train(name)``: the weights of 7 iterations that fsrcnn_x2 teaches, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, **options: object) -> dict[str, torch.Tensor]:
        images = {"dataroot_gt": "scikit-image:held_out", "gt_size": 48, "batch_size_per_gpu": 2}
        content = {
            "name": name,
            "scale": 2,
            "datasets": {"train": {**images, "num_worker_per_gpu": 0, "fixed_batches": COUNT}},
            "networks": {
                "teacher": {"type": "file", "path": "fsrcnn_x2"},
                "student": {"type": "FSRCNN", "skip": "bicubic", "init": "bicubic"},
            },
            "phases": {"student": {"trains": "student", "teacher": "teacher", "total_iter": 7, "losses": LOSSES}},
            "logger": {"use_tb_logger": False},
            **options,
        }
        path = Path(f"{name}.yml")
        path.write_text(yaml.safe_dump(content))
        made = sr_kd.train(path, device="cpu").experiment / "models" / "net_g_latest.pth"
        return torch.load(made, weights_only=True)["params"]

    return run


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_bits_are_those_of_a_teacher_that_is_asked_at_every_step(train, tmp_path: Path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="sr_kd")
    filled = train("filled")
    files = sorted((tmp_path / "experiments" / "teacher_cache").iterdir())
    assert len(files) == COUNT
    assert f"what the teacher makes of {COUNT} batches takes " in caplog.text
    written = [file.stat().st_mtime_ns for file in files]
    read = train("read")
    files[0].write_bytes(files[0].read_bytes()[:1000])
    damaged = train("damaged")
    assert f"{files[0].name} is damaged" in caplog.text
    assert [file.stat().st_mtime_ns for file in files[1:]] == written[1:]
    with monkeypatch.context() as patch:
        patch.setattr(SuperResolution, "recurs", property(lambda self: 0, lambda self, batches: None))
        asked = train("asked")
    assert same(filled, asked) and same(read, asked) and same(damaged, asked)
    kept = torch.load(files[0], weights_only=True)
    torch.save({"output": kept["output"] + 0.5, "features": kept["features"]}, files[0])
    assert not same(train("other"), asked)  # so it is read


def test_other_seeds_share_the_files_and_see_the_batches_in_another_order(train, tmp_path: Path):
    first = train("first")
    files = set((tmp_path / "experiments" / "teacher_cache").iterdir())
    other = train("other", seeds=[1])
    assert not same(first, other)
    assert set((tmp_path / "experiments" / "teacher_cache").iterdir()) == files
    taught = {"teacher": {"type": "file", "path": "fsrcnn_x2_large"}, "student": {"type": "FSRCNN", "init": "bicubic"}}
    train("another_teacher", networks=taught)
    assert len(set((tmp_path / "experiments" / "teacher_cache").iterdir())) == 2 * COUNT
