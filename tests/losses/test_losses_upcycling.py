"""Upcycling: the zoomed pairs, the augmentations, and what each network is shown."""

from __future__ import annotations

import itertools
from itertools import pairwise

import pytest
import torch
from loss_inputs import networks

from sr_kd.data.resize import imresize
from sr_kd.errors import UsageError
from sr_kd.losses import LossInputs, NetworkOutput, build_loss
from sr_kd.losses.upcycling import Augmentation, zoomed_in, zoomed_out

LR, HR = torch.rand(2, 1, 8, 12), torch.rand(2, 1, 16, 24)


@pytest.mark.parametrize("flags", itertools.product([False, True], repeat=4))
def test_every_augmentation_can_be_undone(flags):
    augmentation = Augmentation(*flags)
    changed = augmentation.apply(LR)
    torch.testing.assert_close(augmentation.undo(changed), LR, rtol=0, atol=1e-7)
    assert torch.equal(changed, LR) != any(flags)


def test_a_zoom_out_teaches_lr_itself():
    lr, hr = zoomed_out(torch.rand(2, 1, 9, 14, dtype=torch.float64), 3)
    assert lr.shape == (2, 1, 3, 4) and hr.shape == (2, 1, 9, 12)
    torch.testing.assert_close(lr, imresize(hr, (3, 4)))


def test_a_zoom_in_takes_a_tile_of_hr_for_lr():
    lr, hr = zoomed_in(HR, 2, 1, 0)
    assert torch.equal(lr, HR[:, :, 8:, :12])
    assert hr.shape == HR.shape


def test_the_terms_compare_undone_student_and_teacher():
    """With a student of its own eyes (fixed convolutions), written out by hand for the drawn augmentation."""
    student, teacher = networks()
    shown = []

    def taught(lr, hr):
        shown.append((lr.shape, hr.shape))
        with torch.no_grad():
            return teacher(lr)

    loss = build_loss("Upcycling", seed=3)
    inputs = LossInputs(
        LR, HR, NetworkOutput(None), iteration=5, trained_forward=lambda lr, hr: student(lr), teacher_forward=taught
    )
    terms = loss(inputs)
    (row, column), augmentation = loss._draw(5, 2)
    for name, (lr, _) in {"zoom_in": zoomed_in(HR, 2, row, column), "zoom_out": zoomed_out(LR, 2)}.items():
        expected = (augmentation.undo(student(augmentation.apply(lr))) - teacher(lr)).abs().mean()
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-6)
    assert shown == [((2, 1, 8, 12), (2, 1, 16, 24)), ((2, 1, 4, 6), (2, 1, 8, 12))]
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_the_same_network_without_augmentation_loses_nothing():
    network, _ = networks()
    both = {"trained_forward": lambda lr, hr: network(lr), "teacher_forward": lambda lr, hr: network(lr)}
    terms = build_loss("Upcycling", probability=0)(LossInputs(LR, HR, NetworkOutput(None), **both))
    assert [value.item() for value in terms.values()] == [0, 0]


def test_the_draw_is_a_function_of_seed_and_iteration():
    loss, same, other = (build_loss("Upcycling", seed=seed) for seed in (0, 0, 1))
    draws = [loss._draw(iteration, 2) for iteration in range(200)]
    assert draws == [same._draw(iteration, 2) for iteration in range(200)]
    assert draws != [other._draw(iteration, 2) for iteration in range(200)]
    assert {tile for tile, _ in draws} == set(itertools.product(range(2), repeat=2))
    share = sum(augmentation.invert for _, augmentation in draws) / 200
    assert share == pytest.approx(0.3, abs=0.1)


def test_an_iteration_tells_nothing_of_the_next_ones_tile():
    loss = build_loss("Upcycling", probability=0.5)
    draws = [loss._draw(iteration, 2) for iteration in range(1000)]
    agreeing = [before[1].transpose == (after[0][1] == 0) for before, after in pairwise(draws)]
    assert 0.4 < sum(agreeing) / len(agreeing) < 0.6


def test_one_zoom_alone_and_wrong_uses():
    forward = {"trained_forward": lambda lr, hr: hr, "teacher_forward": lambda lr, hr: hr}
    assert list(build_loss("Upcycling", zooms=["out"])(LossInputs(LR, HR, NetworkOutput(None), **forward))) == [
        "zoom_out"
    ]
    assert build_loss("Upcycling").needs_teacher({})
    with pytest.raises(UsageError, match="at least one"):
        build_loss("Upcycling", zooms=[])
    with pytest.raises(UsageError, match="zooms"):
        build_loss("Upcycling", zooms=["sideways"])
    with pytest.raises(UsageError, match="other images"):
        build_loss("Upcycling")(LossInputs(LR, HR, NetworkOutput(None)))
