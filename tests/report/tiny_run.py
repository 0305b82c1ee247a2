"""A small recipe with names that a careless page would take for HTML."""

from __future__ import annotations

from pathlib import Path

import yaml

STUDENT = 'PISR <script>alert("x")</script> & co'
TEST_SET = "val & <test>"
IMAGE = '<i>cat\'s & "dog"<i>'
LOSSES = [{"type": "L1"}, {"type": "VID", "weight": 1e-4, "taps": ["expanding"]}]


def write_options(folder: Path, images: Path, **changes: object) -> Path:
    """A recipe of a teacher, a student and a baseline, with folders beside it."""
    recipe: dict = {
        "name": "tiny",
        "scale": 2,
        "datasets": {
            "train": {"dataroot_gt": str(images / "train"), "gt_size": 32, "batch_size_per_gpu": 4},
            "val": {"name": TEST_SET, "dataroot_gt": str(images / "val")},
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
            "teacher": {"trains": "teacher", "total_iter": 8, "losses": [{"type": "L1"}, {"type": "Imitation"}]},
            "student": {"needs": ["teacher"], "trains": "student", "total_iter": 8, "losses": LOSSES},
            "baseline_total": {"trains": "student", "total_iter": "teacher + student"},
        },
        "arms": {STUDENT: "student", "baseline_total": "baseline_total"},
        "val": {"val_freq": 4},
        "logger": {"print_freq": 2, "save_checkpoint_freq": 4},
        "path": {
            "experiments_root": str(folder / "experiments"),
            "results_root": str(folder / "results"),
            "tb_root": str(folder / "tb_logger"),
        },
    } | changes
    path = folder / f"{recipe['name']}.yml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
