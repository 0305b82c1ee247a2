"""Mean average precision: what is certain by definition, and boxes of known overlap."""

from __future__ import annotations

import sys

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.tasks.detection.average_precision import mean_average_precision

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 50]])


def image(boxes, labels, scores=None):
    found = {"boxes": torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels).long()}
    return found if scores is None else {**found, "scores": torch.tensor(scores).float()}


def test_perfect_boxes_have_all_of_it_and_none_have_nothing():
    targets = [image(BOXES, [0, 1]), image(BOXES[:1], [2])]
    perfect = [image(BOXES, [0, 1], [0.9, 0.8]), image(BOXES[:1], [2], [0.3])]
    assert mean_average_precision(perfect, targets) == {"map": 100, "map50": 100}
    nothing = [image([], [], []), image([], [], [])]
    assert mean_average_precision(nothing, targets) == {"map": 0, "map50": 0}
    wrong_class = [image(BOXES, [1, 0], [0.9, 0.8]), image(BOXES[:1], [0], [0.3])]
    assert mean_average_precision(wrong_class, targets) == {"map": 0, "map50": 0}


def test_an_overlap_counts_at_the_thresholds_below_it():
    """Moved by 2 of 10 pixels, a box has an IoU of 8 / 12: above 0.5, 0.55, 0.6 and 0.65, four thresholds of ten."""
    moved = [image([[2.0, 0, 12, 10]], [0], [0.9])]
    values = mean_average_precision(moved, [image(BOXES[:1], [0])])
    assert values == {"map": pytest.approx(40), "map50": pytest.approx(100)}


def test_a_better_scored_mistake_halves_the_precision_and_a_worse_scored_one_does_not():
    target = [image(BOXES[:1], [0])]
    for score, expected in ((0.9, 50), (0.1, 100)):
        found = [image([[50.0, 50, 60, 60], [0, 0, 10, 10]], [0, 0], [score, 0.5])]
        assert mean_average_precision(found, target)["map"] == pytest.approx(expected)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.detection", None)
    with pytest.raises(UsageError, match=r"needs torchmetrics and pycocotools .*pip install 'sr_kd\[detection\]'"):
        mean_average_precision([], [])
