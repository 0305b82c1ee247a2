"""Option files written for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PISR = """\
name: pisr
scale: 2
datasets:
  train: {dataroot_gt: "scikit-image:train", gt_size: 64}
  val_1: {dataroot_gt: "scikit-image:held_out"}
networks:
  teacher: {type: PrivilegedTeacher, encoder: {type: Hourglass}, decoder: {type: FSRCNN}}
  student: {type: FSRCNN}
phases:
  teacher:
    trains: teacher
    total_iter: 300
    losses:
      - {type: L1}
      - {type: Imitation, weight: 1e-4}
  student:
    needs: [teacher]
    trains: student
    init: {from: teacher, part: decoder}
    total_iter: 200
    losses:
      - {type: L1}
      - {type: VID, weight: 1e-6, taps: [expanding]}
  baseline_total:
    trains: student
    total_iter: teacher + student
"""


@pytest.fixture
def write_options(tmp_path: Path) -> Callable[..., Path]:
    """``write_options(text)`` or ``write_options(old=new, ...)`` on the PISR recipe above; returns the file."""

    def write(text: str = PISR, *changes: tuple[str, str], name: str = "options.yml") -> Path:
        for old, new in changes:
            if text.count(old) < 1:
                raise ValueError(f"'{old}' is not in the option file")
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def pisr(write_options: Callable[..., Path]) -> Callable[..., Path]:
    """``pisr((old, new), ...)``: the PISR recipe with changes."""
    return lambda *changes: write_options(PISR, *changes)
