"""Inheritance and exploration: every form against NumPy, the split, the coders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import apply, numerical_gradient, unit_rows

from sr_kd.errors import UsageError
from sr_kd.losses import build_loss
from sr_kd.losses.ie_kd import EXPLORE, INHERIT, coders


def rows(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return unit_rows(one.reshape(len(one), -1)), unit_rows(other.reshape(len(other), -1))


def l1(one, other):
    s, t = rows(one, other)
    return np.abs(s - t).mean()


def l2(one, other):
    s, t = rows(one, other)
    return np.sqrt(((s - t) ** 2).mean(1)).mean()


def cosines(one, other):
    s, t = rows(one, other)
    return (s * t).sum(1)


def partial_l2(one, other):
    s, t = rows(one, other)
    squares = np.where((s <= t) & (t <= 0), 0, (s - t) ** 2)
    return np.sqrt(squares.mean(1)).mean()


def orthogonality(one, other):
    total = []
    for s, t in zip(one, other, strict=True):
        for a in s:
            for b in t:
                total.append(((a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum())) ** 2)
    return np.mean(total)


def cka(one, other):
    """In feature space: |Y^T X|^2 / (|X^T X| |Y^T Y|) of centered features."""
    x, y = (factor.reshape(len(factor), -1) for factor in (one, other))
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


REFERENCES = {
    ("inherit", "l1"): l1,
    ("inherit", "l2"): l2,
    ("inherit", "cosine"): lambda s, t: (1 - cosines(s, t)).mean(),
    ("inherit", "partial_l2"): partial_l2,
    ("explore", "l1"): lambda s, t: -l1(s, t),
    ("explore", "l2"): lambda s, t: -l2(s, t),
    ("explore", "cosine"): lambda s, t: np.abs(cosines(s, t)).mean(),
    ("explore", "partial_l2"): lambda s, t: -partial_l2(s, t),
    ("explore", "orthogonality"): orthogonality,
    ("explore", "cka"): cka,
}


@pytest.mark.parametrize(("side", "form"), REFERENCES)
def test_every_form_follows_its_formula(side, form):
    function, reference = (INHERIT if side == "inherit" else EXPLORE)[form], REFERENCES[side, form]
    student, teacher = maps(3, 2, 3, 4).requires_grad_(), maps(3, 2, 3, 4, seed=1)
    value = function(student, teacher)
    value.backward()
    s, t = student.detach().numpy(), teacher.numpy()
    assert value.item() == pytest.approx(reference(s, t), rel=1e-7)
    slope = numerical_gradient(lambda x: reference(x, t), s)
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-7)


@pytest.mark.parametrize("form", INHERIT)
def test_an_inherited_factor_loses_nothing(form):
    factor = maps(2, 3, 6, 10)
    assert INHERIT[form](factor, factor.clone()).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("use_bn", [False, True])
def test_the_loss_is_the_coders_on_the_two_halves(use_bn):
    torch.manual_seed(0)
    loss = build_loss("IEKD", [pair()], use_bn=use_bn, divide="random").double()
    student, teacher = maps(2, 4, 6, 10), maps(2, 6, 6, 10, seed=1)
    terms = loss(loss_inputs_of(student, teacher))
    halves, knowledge = loss.halves["tap"], loss.autoencoders["tap"].factor(teacher).numpy()
    first, second = halves.order[:2].tolist(), halves.order[2:].tolist()
    assert sorted(first + second) == [0, 1, 2, 3] and knowledge.shape == (2, 3, 6, 10)
    inherit = l1(apply(halves.inherit, student.numpy()[:, first]), knowledge)
    explore = -l1(apply(halves.explore, student.numpy()[:, second]), knowledge)
    assert terms["inherit"].item() == pytest.approx(inherit, rel=1e-6)
    assert terms["explore"].item() == pytest.approx(explore, rel=1e-6)


def test_the_frozen_encoder_reproduces_its_convolutions():
    loss = build_loss("IEKD", [pair()], use_bn=False).double()
    teacher = maps(2, 6, 6, 10, seed=1)
    part = loss.autoencoders["tap"]
    np.testing.assert_allclose(part.factor(teacher).numpy(), apply(part.encoder, teacher.numpy()), rtol=1e-9)
    assert part(teacher).shape == teacher.shape


@pytest.mark.parametrize(("ratio", "inherited"), [(0.5, 6), (0.25, 3), (0.01, 1), (0.99, 11)])
def test_the_natural_split_takes_the_first_channels(ratio, inherited):
    halves = build_loss("IEKD", [pair(12, 6)], ratio=ratio).halves["tap"]
    assert halves.order.tolist() == list(range(12))
    assert halves.inherited == inherited


def test_a_random_split_survives_a_resumed_run():
    torch.manual_seed(1)
    saved = build_loss("IEKD", [pair(12, 6)], divide="random")
    torch.manual_seed(2)
    resumed = build_loss("IEKD", [pair(12, 6)], divide="random")
    assert not torch.equal(saved.halves["tap"].order, resumed.halves["tap"].order)
    resumed.load_state_dict(saved.state_dict())
    inputs = loss_inputs_of(maps(2, 12, 6, 10, dtype=torch.float32), maps(2, 6, 6, 10, seed=1, dtype=torch.float32))
    before, after = saved(inputs), resumed(inputs)
    assert {name: value.item() for name, value in before.items()} == {n: v.item() for n, v in after.items()}


def test_one_channel_cannot_be_split():
    with pytest.raises(UsageError, match="only one"):
        build_loss("IEKD", [pair(1, 6)])


def test_alignment_of_a_single_sample_says_nothing():
    student = maps(1, 2, 3, 4).requires_grad_()
    value = EXPLORE["cka"](student, maps(1, 2, 3, 4, seed=1))
    value.backward()
    assert value.item() == 0 and torch.isfinite(student.grad).all()


def test_a_frozen_factor_is_the_encoders_and_compiles_in_one_graph():
    autoencoder = coders(4, 2)
    for layer in autoencoder.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    autoencoder.eval()
    feature = maps(2, 4, 5, 6, dtype=torch.float32)
    expected = autoencoder.encoder(feature)
    torch.testing.assert_close(autoencoder.factor(feature), expected)
    compiled = torch.compile(autoencoder.factor, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(feature), expected)
