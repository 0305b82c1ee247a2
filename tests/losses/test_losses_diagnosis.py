"""The dry run's measurements, and the weight they suggest."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import network_inputs, networks, pair

from sr_kd.losses import build_loss
from sr_kd.losses.diagnosis import diagnose, diagnosis_table


@pytest.fixture
def measured():
    torch.manual_seed(0)
    student, teacher = networks()
    inputs = network_inputs(student, teacher, torch.rand(2, 1, 8, 12), torch.rand(2, 1, 16, 24))
    losses = {
        "AT": build_loss("AT", [pair(8, 12, "expanding")]),
        "Response": build_loss("Response"),
        "Upcycling": build_loss("Upcycling"),
        "L1": build_loss("L1"),
    }
    task = build_loss("L1")
    found = {row.name: row for row in diagnose(task, losses, inputs, list(student.parameters()))}
    return student, inputs, losses, task, found


def test_the_suggested_weight_makes_the_gradient_a_tenth(measured):
    _, inputs, losses, task, found = measured
    tap = inputs.trained.features["expanding"]
    for name, row in found.items():
        if name.startswith("Upcycling"):
            continue
        loss, term = name.split("/")
        value = row.weight_for_a_tenth * losses[loss](inputs)[term]
        (gradient,) = torch.autograd.grad(value, tap, retain_graph=True)
        (reference,) = torch.autograd.grad(task(inputs)["l1"], tap, retain_graph=True)
        assert (gradient.norm() / reference.norm()).item() == pytest.approx(0.1, rel=1e-4)
        assert row.value == pytest.approx(losses[loss](inputs)[term].item())
    assert found["L1/l1"].ratio == pytest.approx(1)


def test_other_inputs_are_measured_at_the_parameters(measured):
    student, inputs, losses, task, found = measured
    parameters = list(student.parameters())
    norms = []
    for value in (losses["Upcycling"](inputs)["zoom_in"], task(inputs)["l1"]):
        gradients = torch.autograd.grad(value, parameters, retain_graph=True)
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    assert found["Upcycling/zoom_in"].ratio == pytest.approx((norms[0] / norms[1]).item(), rel=1e-4)


def test_the_table_has_a_line_per_term(measured):
    lines = diagnosis_table(measured[4].values()).splitlines()
    assert [line.split()[0] for line in lines] == [
        "loss",
        "AT/at",
        "Response/response",
        "Upcycling/zoom_in",
        "Upcycling/zoom_out",
        "L1/l1",
    ]
