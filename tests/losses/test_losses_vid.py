"""Both forms of variational information distillation against NumPy forward passes with the same weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import apply, block_mean, numerical_gradient, softplus

from sr_kd.losses import build_loss


def pisr(loss, s: np.ndarray, t: np.ndarray, likelihood: str, scale: str) -> float:
    """PISR's negative log-likelihood without its additive constant."""
    estimator = loss.estimators["tap"]
    location, raw = apply(estimator.location, s), apply(estimator.scale, s)
    assert raw.shape[1] == {"pixel_and_channel": 6, "channel": 6, "pixel": 1, "layer": 1}[scale]
    if scale in ("channel", "layer"):
        raw = raw.mean((2, 3), keepdims=True)
    if likelihood == "laplace":
        b = 0.1 * softplus(raw) + 1e-8
        return float((np.log(2 * b) + np.abs(t - location) / b).mean())
    variance = 0.001 * softplus(raw) + 1e-8
    return float((0.5 * np.log(variance) + (t - location) ** 2 / (2 * variance)).mean())


@pytest.mark.parametrize("scale", ["pixel_and_channel", "channel", "pixel", "layer"])
@pytest.mark.parametrize("likelihood", ["laplace", "gaussian"])
def test_pisr_value_and_gradients(likelihood, scale):
    torch.manual_seed(0)
    loss = build_loss("VID", [pair()], likelihood=likelihood, scale=scale).double()
    student, teacher = maps(2, 4, 3, 4).requires_grad_(), 0.1 * maps(2, 6, 3, 4, seed=1)
    value = loss(loss_inputs_of(student, teacher))["vid"]
    value.backward()
    s, t = student.detach().numpy(), teacher.numpy()
    assert value.item() == pytest.approx(pisr(loss, s, t, likelihood, scale), rel=1e-9)
    slope = numerical_gradient(lambda x: pisr(loss, x, t, likelihood, scale), s)
    np.testing.assert_allclose(student.grad.numpy(), slope, rtol=1e-5, atol=1e-7)
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


def test_pisr_diagnostics_show_the_calibration():
    loss = build_loss("VID", [pair()])
    student, teacher = maps(2, 4, 6, 20, dtype=torch.float32), maps(2, 6, 12, 10, seed=1, dtype=torch.float32)
    loss(loss_inputs_of(student, teacher))
    location, scale = loss.estimators["tap"](torch.from_numpy(block_mean(student.numpy(), 1, 2)))
    target = torch.from_numpy(block_mean(teacher.numpy(), 2, 1))
    seen = {name: value.item() for name, value in loss.diagnostics().items()}
    assert seen == {
        "tap/mean_error": pytest.approx((target - location).abs().mean().item(), rel=1e-5),
        "tap/mean_scale": pytest.approx(scale.mean().item(), rel=1e-5),
        "tap/mean_teacher_feature": pytest.approx(target.abs().mean().item(), rel=1e-5),
    }


def original(loss, s: np.ndarray, t: np.ndarray, eps: float) -> float:
    predictor = loss.predictors["tap"]
    variance = (softplus(predictor.log_scale.detach().numpy()) + eps)[:, None, None]
    return float(0.5 * ((t - apply(predictor.mean, s)) ** 2 / variance + np.log(variance)).mean())


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_original_value_and_gradients(eps):
    torch.manual_seed(0)
    loss = build_loss("OriginalVID", [pair()], eps=eps).double()
    student, teacher = maps(2, 4, 3, 4).requires_grad_(), maps(2, 6, 3, 4, seed=1)
    with torch.no_grad():
        loss.predictors["tap"].log_scale.add_(torch.linspace(-4, 1, 6))
    value = loss(loss_inputs_of(student, teacher))["vid"]
    value.backward()
    s, t = student.detach().numpy(), teacher.numpy()
    assert value.item() == pytest.approx(original(loss, s, t, eps), rel=1e-9)
    slope = numerical_gradient(lambda x: original(loss, x, t, eps), s)
    np.testing.assert_allclose(student.grad.numpy(), slope, rtol=1e-5, atol=1e-7)
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


@pytest.mark.parametrize("variance", [5.0, 0.01])
def test_original_starts_at_the_given_variance(variance):
    predictor = build_loss("OriginalVID", [pair()], init_pred_var=variance).predictors["tap"]
    assert predictor.log_scale.tolist() == pytest.approx([math.log(math.expm1(variance - 1e-5))] * 6, rel=1e-5)
    np.testing.assert_allclose(predictor.variance().detach(), variance, rtol=1e-5)


def test_original_starts_at_the_teachers_variance_on_request():
    loss = build_loss("OriginalVID", [pair()], init_pred_var="teacher", eps=1e-8)
    student, teacher = maps(2, 4, 6, 10, dtype=torch.float32), maps(2, 6, 6, 10, seed=1, dtype=torch.float32)
    teacher = 0.01 * teacher * torch.arange(6).reshape(1, 6, 1, 1)  # channel 0 is dead
    loss(loss_inputs_of(student, teacher))
    expected = np.maximum(teacher.numpy().var((0, 2, 3)), 2e-8)
    np.testing.assert_allclose(loss.predictors["tap"].variance().detach(), expected, rtol=1e-3)
    loss(loss_inputs_of(student, 100 * teacher, iteration=1))
    np.testing.assert_allclose(loss.predictors["tap"].variance().detach(), expected, rtol=1e-3)
    shown = loss.diagnostics()["tap/mean_variance"].item()
    assert shown == pytest.approx(expected.mean(), rel=1e-3)


def test_original_variance_has_no_weight_decay():
    loss = build_loss("OriginalVID", [pair()])
    groups = loss.parameter_groups(1e-3, 0.1)
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in loss.parameters()}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    log_scale = loss.predictors["tap"].log_scale
    assert decays.pop(id(log_scale)) == 0 and set(decays.values()) == {0.1}
