"""SRRL: connector, feature matching, and regression through the teacher's frozen tail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, network_inputs, networks, pair
from numpy_reference import apply, block_mean, numerical_gradient

from sr_kd.errors import UsageError
from sr_kd.losses import LossInputs, NetworkOutput, build_loss
from sr_kd.losses.srrl import feature_matching


@pytest.mark.parametrize("pool", ["none", "gap"])
@pytest.mark.parametrize("regression", ["l1", "l2"])
@pytest.mark.parametrize(("use_bn", "use_relu"), [(False, False), (True, True)])
def test_values_and_gradients_follow_the_formula(pool, regression, use_bn, use_relu):
    torch.manual_seed(0)
    loss = build_loss("SRRL", [pair()], pool=pool, regression=regression, use_bn=use_bn, use_relu=use_relu).double()
    student, teacher = maps(2, 4, 6, 10).requires_grad_(), maps(2, 6, 6, 10, seed=1)
    terms = loss(loss_inputs_of(student, teacher))
    sum(terms.values()).backward()
    t = teacher.numpy()

    def reference(s: np.ndarray) -> tuple[float, float]:
        connected = apply(loss.connectors["tap"], s)
        difference = connected - t
        matching = ((difference.mean((2, 3)) if pool == "gap" else difference) ** 2).mean()
        images = connected.mean(1) - t.mean(1)  # the tail of the inputs: mean over channels, pixels doubled
        return matching, (np.abs(images) if regression == "l1" else images**2).mean()

    expected = reference(student.detach().numpy())
    assert terms["feature_matching"].item() == pytest.approx(expected[0], rel=1e-9)
    assert terms["regression"].item() == pytest.approx(expected[1], rel=1e-9)
    slope = numerical_gradient(lambda s: sum(reference(s)), student.detach().numpy())
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-7)


def test_equal_features_lose_nothing_and_need_no_connector():
    student, teacher = networks(8, 8)
    student.load_state_dict(teacher.state_dict())
    loss = build_loss("SRRL", [pair(8, 8, "expanding")])
    assert not list(loss.parameters())
    terms = loss(network_inputs(student, teacher, torch.rand(2, 1, 8, 12), torch.rand(2, 1, 16, 24)))
    assert {name: value.item() for name, value in terms.items()} == {"feature_matching": 0, "regression": 0}


def test_the_gradient_passes_the_frozen_tail_and_stays_out_of_it():
    student, teacher = networks()
    loss = build_loss("SRRL", [pair(8, 12, "expanding")])
    inputs = network_inputs(student, teacher, torch.rand(2, 1, 8, 12), torch.rand(2, 1, 16, 24))
    regression = loss(inputs)["regression"]
    regression.backward()
    assert all(p.grad is not None for name, p in student.named_parameters() if not name.startswith("last_layer"))
    assert all(p.grad is not None for p in loss.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_a_student_map_of_other_size_is_brought_to_the_teachers():
    loss = build_loss("SRRL", [pair(6, 6)])
    student, teacher = maps(2, 6, 12, 5), maps(2, 6, 6, 10, seed=1)
    terms = loss(loss_inputs_of(student, teacher))
    pooled = torch.from_numpy(block_mean(student.numpy(), 2, 1))
    upscaled = torch.nn.functional.interpolate(pooled, size=(6, 10), mode="bilinear", align_corners=False)
    assert terms["feature_matching"].item() == pytest.approx(feature_matching(upscaled, teacher).item(), rel=1e-9)


def test_a_classifiers_tail_gives_logits():
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 3).double().requires_grad_(False)
    student, teacher = maps(2, 6, 4, 4), maps(2, 6, 4, 4, seed=1)

    def tail(tap: str, feature: torch.Tensor) -> torch.Tensor:
        return head(feature.mean((2, 3)))

    inputs = LossInputs(
        student,
        student,
        NetworkOutput(None, {"tap": student}),
        NetworkOutput(tail("tap", teacher), {"tap": teacher}),
        tail,
    )
    expected = ((tail("tap", student) - tail("tap", teacher)) ** 2).mean().item()
    assert build_loss("SRRL", [pair(6, 6)])(inputs)["regression"].item() == pytest.approx(expected, rel=1e-9)


def test_a_teacher_without_a_tail_is_refused():
    feature = maps(2, 6, 4, 4)
    inputs = LossInputs(
        feature, feature, NetworkOutput(None, {"tap": feature}), NetworkOutput(feature, {"tap": feature})
    )
    with pytest.raises(UsageError, match="tail"):
        build_loss("SRRL", [pair(6, 6)])(inputs)
