"""Attention transfer against its formula, and its relation to the linear NST."""

from __future__ import annotations

import numpy as np
import pytest
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import block_mean, numerical_gradient, unit_rows

from sr_kd.losses import build_loss
from sr_kd.losses.at import attention_transfer, energy
from sr_kd.losses.nst import linear_mmd


def reference(student: np.ndarray, teacher: np.ndarray, p: float, form: str) -> float:
    def attention(feature: np.ndarray) -> np.ndarray:
        return unit_rows((np.abs(feature) ** p).mean(1).reshape(len(feature), -1))

    difference = attention(student) - attention(teacher)
    if form == "code":
        return float((difference**2).mean())
    return float(np.sqrt((difference**2).sum(1)).mean() / 2)


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize("p", [1, 2, 2.5, 3, 4])
def test_value_and_gradient_follow_the_formula(p, form):
    student, teacher = maps(2, 3, 4, 5).requires_grad_(), maps(2, 6, 4, 5, seed=1)
    value = attention_transfer(student, teacher, p, form)
    value.backward()
    expected = reference(student.detach().numpy(), teacher.numpy(), p, form)
    assert value.item() == pytest.approx(expected, rel=1e-8)
    slope = numerical_gradient(lambda s: reference(s, teacher.numpy(), p, form), student.detach().numpy())
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-8)


def test_the_larger_map_is_averaged_down_each_side_for_itself():
    student, teacher = maps(2, 4, 6, 20), maps(2, 6, 12, 10, seed=1)
    value = build_loss("AT", [pair()])(loss_inputs_of(student, teacher))["at"]
    expected = reference(block_mean(student.numpy(), 1, 2), block_mean(teacher.numpy(), 2, 1), 2, "code")
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_odd_powers_ignore_the_sign():
    student, teacher = maps(2, 4, 6, 10), maps(2, 4, 6, 10, seed=1)
    turned = attention_transfer(-student, teacher, 3)
    assert turned.item() == attention_transfer(student, teacher, 3).item() != 0


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_scale_of_a_feature_does_not_matter(factor):
    student, teacher = maps(2, 4, 6, 10), maps(2, 4, 6, 10, seed=1)
    plain, scaled = attention_transfer(student, teacher), attention_transfer(factor * student, teacher)
    assert scaled.item() == pytest.approx(plain.item(), rel=1e-6)


def test_it_is_the_linear_nst_of_the_energy_maps():
    """With the energy map as a network's only channel, the linear MMD is H * W times AT: MMD sums where AT averages."""
    student, teacher = maps(2, 4, 6, 10), maps(2, 7, 6, 10, seed=1)
    energies = [energy(feature).reshape(2, 1, 6, 10) for feature in (student, teacher)]
    discrepancy = linear_mmd(*energies, eps=1e-16)
    assert discrepancy.item() == pytest.approx(60 * attention_transfer(student, teacher).item(), rel=1e-9)
