"""Neuron selectivity transfer: three kernels against sums over all pairs, dead channels, precision, memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import block_mean, numerical_gradient

from sr_kd.losses import build_loss
from sr_kd.losses.nst import gaussian_mmd, linear_mmd, poly_mmd

TINY = 1e-16  # an eps that is nothing beside features of order one
KERNELS = {
    "linear": (lambda s, t: linear_mmd(s, t, eps=TINY), lambda a, b, sigma2: a @ b),
    "poly": (lambda s, t: poly_mmd(s, t, eps=TINY), lambda a, b, sigma2: (a @ b) ** 2),
    "poly of degree 3": (lambda s, t: poly_mmd(s, t, 3, 0.5, eps=TINY), lambda a, b, sigma2: (a @ b + 0.5) ** 3),
    "gaussian": (
        lambda s, t: gaussian_mmd(s, t, eps=TINY),
        lambda a, b, sigma2: np.exp(-((a - b) ** 2).sum() / (2 * sigma2)),
    ),
    "gaussian of width 0.7": (
        lambda s, t: gaussian_mmd(s, t, 0.7, eps=TINY),
        lambda a, b, sigma2: np.exp(-((a - b) ** 2).sum() / (2 * 0.49)),
    ),
}


def normalized(feature: np.ndarray) -> np.ndarray:
    flat = feature.reshape(*feature.shape[:2], -1)
    return flat / np.sqrt((flat**2).sum(2, keepdims=True))


def cross_variances(student: np.ndarray, teacher: np.ndarray) -> list[float]:
    """Per sample, the mean squared distance of the student-teacher pairs."""
    pairs = zip(normalized(student), normalized(teacher), strict=True)
    return [float(np.mean([((a - b) ** 2).sum() for a in s for b in t])) for s, t in pairs]


def reference(student: np.ndarray, teacher: np.ndarray, kernel, variances: list[float] | None = None) -> float:
    """Mean over samples of the squared MMD, one pair of channels at a time."""
    totals = []
    variances = variances or cross_variances(student, teacher)
    for s, t, sigma2 in zip(normalized(student), normalized(teacher), variances, strict=True):
        within = [np.mean([kernel(a, b, sigma2) for a in maps_ for b in maps_]) for maps_ in (s, t)]
        totals.append(sum(within) - 2 * np.mean([kernel(a, b, sigma2) for a in s for b in t]))
    return float(np.mean(totals))


@pytest.mark.parametrize("name", KERNELS)
def test_value_and_gradient_follow_the_sum_over_pairs(name):
    function, kernel = KERNELS[name]
    student, teacher = maps(2, 3, 3, 4).requires_grad_(), maps(2, 5, 3, 4, seed=1)
    value = function(student, teacher)
    value.backward()
    s, t = student.detach().numpy(), teacher.numpy()
    assert value.item() == pytest.approx(reference(s, t, kernel), rel=1e-9)
    fixed = cross_variances(s, t)  # the width is a constant of the data: no gradient passes through it
    slope = numerical_gradient(lambda x: reference(x, t, kernel, fixed), s)
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-8)


def test_the_channel_form_equals_the_gram_matrix_of_positions():
    student, teacher = maps(2, 3, 4, 5), maps(2, 6, 4, 5, seed=1)

    def gram(feature: np.ndarray) -> np.ndarray:
        rows = normalized(feature)
        return np.einsum("nci,ncj->nij", rows, rows) / rows.shape[1]

    expected = ((gram(student.numpy()) - gram(teacher.numpy())) ** 2).sum((1, 2)).mean()
    assert poly_mmd(student, teacher, eps=TINY).item() == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_channel_order_and_map_size_may_differ(kernel):
    loss = build_loss("NST", [pair()], kernel=kernel, eps=TINY)
    student, teacher = maps(2, 4, 6, 20), maps(2, 6, 12, 10, seed=1)
    value = loss(loss_inputs_of(student, teacher))["nst"].item()
    permuted = loss(loss_inputs_of(student[:, [2, 0, 3, 1]], teacher))["nst"].item()
    assert permuted == pytest.approx(value, rel=1e-9)
    pooled = block_mean(student.numpy(), 1, 2), block_mean(teacher.numpy(), 2, 1)
    assert value == pytest.approx(reference(*pooled, KERNELS[kernel][1]), rel=1e-9)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_dead_channels_get_gradients_of_ordinary_size(kernel):
    student, teacher = maps(2, 4, 96, 96, dtype=torch.float32) * 0.01, maps(2, 6, 96, 96, seed=1, dtype=torch.float32)
    student[0, 1], student[1] = 0, 0
    teacher[:, 2] = 0
    student.requires_grad_()
    value = build_loss("NST", [pair()], kernel=kernel)(loss_inputs_of(student, teacher))["nst"]
    value.backward()
    dead, alive = student.grad[0, 1].abs().max(), student.grad[0, [0, 2, 3]].abs().max()
    assert torch.isfinite(value) and torch.isfinite(student.grad).all()
    assert dead < 50 * alive


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_float32_keeps_the_difference_of_nearly_equal_maps(kernel):
    teacher = maps(2, 8, 24, 32)
    student = teacher + 0.03 * maps(2, 8, 24, 32, seed=1)
    loss = build_loss("NST", [pair(8, 8)], kernel=kernel)
    wide = loss(loss_inputs_of(student, teacher))["nst"].item()
    narrow = loss(loss_inputs_of(student.float(), teacher.float()))["nst"].item()
    assert narrow == pytest.approx(wide, rel=2e-3)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_autocast_does_not_reach_it(kernel):
    student, teacher = maps(2, 4, 6, 10).bfloat16(), maps(2, 6, 6, 10, seed=1).bfloat16()
    loss = build_loss("NST", [pair()], kernel=kernel)
    expected = loss(loss_inputs_of(student.float(), teacher.float()))["nst"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(loss_inputs_of(student, teacher))["nst"]
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="system: reads the peak memory where Linux keeps it")
@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_extra_memory_at_sr_size_stays_under_400_mib(kernel, repository):
    script = f"""
import re, torch
from pathlib import Path
from sr_kd.networks.base import Tap
from sr_kd.losses import LossInputs, TapPair, NetworkOutput, build_loss
loss = build_loss("NST", [TapPair("t", "t", Tap(56), Tap(56))], kernel="{kernel}")
def peak():  # getrusage would start from the peak of the process that started this one
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
def step(side):
    torch.manual_seed(0)
    student, teacher = torch.rand(16, 56, side, side, requires_grad=True), torch.rand(16, 56, side, side)
    image = torch.zeros(16, 1, 8, 8)
    before = peak()
    outputs = [NetworkOutput(None, {{"t": feature}}) for feature in (student, teacher)]
    loss(LossInputs(image, image, *outputs))["nst"].backward()
    return peak() - before
step(8)
print(step(96) / 1024)
"""
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert 0 < float(result.stdout) < 400
