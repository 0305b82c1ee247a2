"""Factor transfer against a NumPy forward pass with the same weights, and its pre-training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import apply, block_mean, numerical_gradient, unit_rows

from sr_kd.losses import build_loss
from sr_kd.losses.autoencoder import factor_distance


def distance(one: np.ndarray, other: np.ndarray, p: int) -> float:
    difference = unit_rows(one.reshape(len(one), -1)) - unit_rows(other.reshape(len(other), -1))
    return float(np.abs(difference).mean() if p == 1 else np.sqrt((difference**2).mean(1)).mean())


@pytest.fixture
def build():
    def make(**options):
        torch.manual_seed(0)
        return build_loss("FT", [pair()], **options).double()

    return make


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("k", "kernel_size", "use_bn"), [(0.5, 3, False), (0.34, 1, False), (1.5, 3, True)])
def test_value_and_gradient_follow_the_formula(build, p, k, kernel_size, use_bn):
    loss = build(p=p, k=k, kernel_size=kernel_size, use_bn=use_bn)
    student, teacher = maps(2, 4, 3, 4).requires_grad_(), maps(2, 6, 3, 4, seed=1)
    value = loss(loss_inputs_of(student, teacher))["ft"]
    value.backward()
    # The paraphraser is frozen, so its batch norm, if any, applies the statistics it was born with: none.
    encoder = loss.autoencoders["tap"].encoder
    target = encoder(teacher).detach().numpy() if use_bn else apply(encoder, teacher.numpy())
    assert target.shape[1] == round(6 * k)

    def reference(s: np.ndarray) -> float:
        return distance(apply(loss.translators["tap"], s), target, p)

    assert value.item() == pytest.approx(reference(student.detach().numpy()), rel=1e-7)
    slope = numerical_gradient(reference, student.detach().numpy())
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-7)


@pytest.mark.parametrize(("reconstruction", "measure"), [("l1", np.abs), ("l2", np.square)])
def test_pretraining_measures_the_reconstruction(build, reconstruction, measure):
    loss = build(reconstruction=reconstruction, pretrain_iter=7, pretrain_lr=0.01)
    objective = loss.pretraining()
    assert (objective.total_iter, objective.learning_rate) == (7, 0.01)
    teacher = maps(2, 6, 5, 4, seed=1)
    part = loss.autoencoders["tap"]
    made = apply(part.decoder, apply(part.encoder, teacher.numpy()))
    value = objective.loss(loss_inputs_of(maps(2, 4, 5, 4), teacher))
    assert value.item() == pytest.approx(measure(made - teacher.numpy()).mean(), rel=1e-9)


def test_pretraining_learns_and_is_frozen_again(build):
    loss, inputs = build(use_bn=True), loss_inputs_of(maps(2, 4, 6, 10), maps(2, 6, 6, 10, seed=1))
    objective = loss.pretraining()
    objective.module.train().requires_grad_(True)
    optimizer = torch.optim.Adam(objective.module.parameters(), lr=0.01)
    values = []
    for _ in range(40):
        value = objective.loss(inputs)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
    loss.train()
    assert not any(parameter.requires_grad for parameter in objective.module.parameters())
    assert not any(module.training for module in objective.module.modules())
    assert all(module.training for module in loss.translators.modules())


def test_a_translator_like_the_paraphraser_loses_nothing():
    loss = build_loss("FT", [pair(6, 6)])
    loss.translators["tap"].load_state_dict(loss.autoencoders["tap"].encoder.state_dict())
    feature = maps(2, 6, 6, 10, dtype=torch.float32)
    assert loss(loss_inputs_of(feature, feature))["ft"].item() == 0


def test_factors_of_other_size_are_averaged_down():
    one, other = maps(2, 3, 6, 20), maps(2, 3, 12, 10, seed=1)
    expected = distance(block_mean(one.numpy(), 1, 2), block_mean(other.numpy(), 2, 1), 1)
    assert factor_distance(one, other).item() == pytest.approx(expected, rel=1e-7)


def test_an_all_zero_factor_has_a_small_gradient():
    zero = torch.zeros(2, 3, 24, 24, requires_grad=True)
    factor_distance(zero, maps(2, 3, 24, 24, dtype=torch.float32)).backward()
    assert zero.grad.abs().max() < 10
