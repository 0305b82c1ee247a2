"""Losses that are one formula: outputs, features, hints, affinity, labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair
from numpy_reference import apply, block_mean, numerical_gradient

from sr_kd.errors import UsageError
from sr_kd.losses import LossInputs, NetworkOutput, build_loss
from sr_kd.losses.affinity import affinity
from sr_kd.losses.shapes import averages
from sr_kd.tasks.classification.soft_label import soft_label_divergence

FORMULAS = {"l1": lambda x: np.abs(x).mean(), "l2": lambda x: (x**2).mean()}


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("L1", FORMULAS["l1"]),
        ("L2", FORMULAS["l2"]),
        ("Charbonnier", lambda x: np.sqrt(x**2 + 1e-6).mean()),
    ],
)
def test_reconstruction(name, formula):
    sr, hr = maps(2, 1, 4, 6).requires_grad_(), maps(2, 1, 4, 6, seed=1)
    (value,) = build_loss(name)(LossInputs(hr, hr, NetworkOutput(sr))).values()
    value.backward()
    assert value.item() == pytest.approx(formula(sr.detach().numpy() - hr.numpy()), rel=1e-12)
    slope = numerical_gradient(lambda x: formula(x - hr.numpy()), sr.detach().numpy())
    np.testing.assert_allclose(sr.grad.numpy(), slope, atol=1e-7)


def discrete_fourier(image: np.ndarray) -> np.ndarray:
    """The definition, by matrices: orthonormal, over the last two sides."""
    height, width = (np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / n**0.5 for n in image.shape[-2:])
    return height @ image @ width


def frequency(sr: np.ndarray, target: np.ndarray) -> float:
    difference = discrete_fourier(sr) - discrete_fourier(target)
    return (np.abs(difference.real).mean() + np.abs(difference.imag).mean()) / 2


def gradient(sr: np.ndarray, target: np.ndarray) -> float:
    down = np.abs(sr[..., 1:, :] - sr[..., :-1, :]) - np.abs(target[..., 1:, :] - target[..., :-1, :])
    right = np.abs(sr[..., 1:] - sr[..., :-1]) - np.abs(target[..., 1:] - target[..., :-1])
    return np.abs(down).mean() + np.abs(right).mean()


@pytest.mark.parametrize("target", ["hr", "teacher"])
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("FrequencyReconstruction", frequency),
        ("GradientDifference", gradient),
        ("L1", lambda sr, target: np.abs(sr - target).mean()),
    ],
)
def test_losses_of_images_compare_with_hr_or_the_teacher(name, formula, target):
    sr, hr, teacher = maps(2, 1, 4, 6).requires_grad_(), maps(2, 1, 4, 6, seed=1), maps(2, 1, 4, 6, seed=2)
    loss = build_loss(name, target=target)
    assert loss.needs_teacher({"target": target}) == loss.needs_teacher_output == (target == "teacher")
    (value,) = loss(LossInputs(hr, hr, NetworkOutput(sr), NetworkOutput(teacher))).values()
    value.backward()
    goal = {"hr": hr, "teacher": teacher}[target].numpy()
    assert value.item() == pytest.approx(formula(sr.detach().numpy(), goal), rel=1e-12)
    slope = numerical_gradient(lambda x: formula(x, goal), sr.detach().numpy())
    np.testing.assert_allclose(sr.grad.numpy(), slope, atol=1e-7)


def test_imitation_compares_the_compact_feature_with_lr():
    lr, compact = maps(2, 1, 4, 6), maps(2, 1, 4, 6, seed=1)
    value = build_loss("Imitation")(LossInputs(lr, lr, NetworkOutput(None, {"compact": compact})))["imitation"]
    assert value.item() == pytest.approx(np.abs(compact.numpy() - lr.numpy()).mean(), rel=1e-12)
    with pytest.raises(UsageError, match="PrivilegedTeacher"):
        build_loss("Imitation")(LossInputs(lr, lr, NetworkOutput(lr)))
    with pytest.raises(UsageError, match="shape"):
        build_loss("Imitation")(LossInputs(lr, lr, NetworkOutput(None, {"compact": maps(2, 2, 4, 6)})))


def test_response_compares_the_outputs():
    student, teacher = maps(2, 1, 4, 6).requires_grad_(), maps(2, 1, 4, 6, seed=1).requires_grad_()
    value = build_loss("Response")(LossInputs(student, student, NetworkOutput(student), NetworkOutput(teacher)))[
        "response"
    ]
    value.backward()
    difference = student.detach().numpy() - teacher.detach().numpy()
    assert value.item() == pytest.approx(np.abs(difference).mean(), rel=1e-12)
    np.testing.assert_allclose(student.grad.numpy(), np.sign(difference) / difference.size)
    assert teacher.grad is None


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("name", ["Feature", "Hint"])
def test_feature_and_hint(name, distance):
    torch.manual_seed(0)
    loss = build_loss(name, [pair()], distance=distance).double()
    student, teacher = maps(2, 4, 6, 10).requires_grad_(), maps(2, 6, 12, 5, seed=1)
    (value,) = loss(loss_inputs_of(student, teacher)).values()
    value.backward()
    ((_, adapter),) = [*(loss.adapters if name == "Feature" else loss.regressors).items()]
    target = block_mean(teacher.numpy(), 2, 1)

    def reference(s: np.ndarray) -> float:
        return FORMULAS[distance](block_mean(apply(adapter, s), 1, 2) - target)

    assert value.item() == pytest.approx(reference(student.detach().numpy()), rel=1e-9)
    slope = numerical_gradient(reference, student.detach().numpy())
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-7)


def test_equal_widths_need_no_adapter_but_a_hint_always_regresses():
    assert not list(build_loss("Feature", [pair(6, 6)]).parameters())
    feature = maps(2, 6, 6, 10)
    assert build_loss("Feature", [pair(6, 6)])(loss_inputs_of(feature, feature))["feature"].item() == 0
    assert sum(parameter.numel() for parameter in build_loss("Hint", [pair(6, 6)]).parameters()) == 6 * 6 + 6


def affinities(feature: np.ndarray) -> np.ndarray:
    positions = feature.reshape(*feature.shape[:2], -1)
    made = np.zeros((len(feature), positions.shape[2], positions.shape[2]))
    for n, i, j in np.ndindex(made.shape):
        a, b = positions[n, :, i], positions[n, :, j]
        made[n, i, j] = a @ b / np.sqrt((a @ a) * (b @ b))
    return made


def test_affinity():
    student, teacher = (2 + maps(2, 4, 3, 4)).requires_grad_(), 2 + maps(2, 6, 3, 4, seed=1)
    value = build_loss("Affinity", [pair()])(loss_inputs_of(student, teacher))["affinity"]
    value.backward()
    s, t = student.detach().numpy(), teacher.numpy()
    assert value.item() == pytest.approx(np.abs(affinities(s) - affinities(t)).mean(), rel=1e-5)
    slope = numerical_gradient(lambda x: np.abs(affinities(x) - affinities(t)).mean(), s, 1e-5)
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-5)
    assert build_loss("Affinity", [pair(6, 6)])(loss_inputs_of(teacher, teacher))["affinity"].item() == 0


@pytest.mark.parametrize(("size", "pooled"), [((32, 32), (24, 24)), ((7, 12), (5, 12)), ((9, 4), (2, 3))])
def test_pooling_by_matrices_is_adaptive_pooling(size, pooled):
    """What MPS, which pools to divisors alone, computes instead."""
    feature = maps(2, 3, *size)
    found = averages(size[0], pooled[0]).to(feature) @ feature @ averages(size[1], pooled[1]).to(feature).T
    torch.testing.assert_close(found, torch.nn.functional.adaptive_avg_pool2d(feature, pooled), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("shape", "positions", "pooled"), [((24, 24), 36, (6, 6)), ((12, 48), 36, (3, 12))])
def test_affinity_of_large_maps_is_of_pooled_positions(shape, positions, pooled):
    student, teacher = maps(2, 4, *shape), maps(2, 6, *shape, seed=1)
    value = build_loss("Affinity", [pair()], positions=positions)(loss_inputs_of(student, teacher))["affinity"]
    blocks = shape[0] // pooled[0], shape[1] // pooled[1]
    small = [torch.from_numpy(block_mean(feature.numpy(), *blocks)) for feature in (student, teacher)]
    assert small[0].shape[2:] == pooled
    assert value.item() == pytest.approx((affinity(small[0]) - affinity(small[1])).abs().mean().item(), rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_soft_labels_carry_the_squared_temperature(temperature):
    student, teacher = maps(5, 7).requires_grad_(), maps(5, 7, seed=1)
    value = build_loss("SoftLabel", temperature=temperature)(
        LossInputs(student, student, NetworkOutput(student), NetworkOutput(teacher))
    )["soft_label"]
    value.backward()

    def reference(s: np.ndarray) -> float:
        def probabilities(logits: np.ndarray) -> np.ndarray:
            return np.exp(logits / temperature) / np.exp(logits / temperature).sum(1, keepdims=True)

        p, q = probabilities(teacher.numpy()), probabilities(s)
        return temperature**2 * float((p * np.log(p / q)).sum() / len(s))

    assert value.item() == pytest.approx(reference(student.detach().numpy()), rel=1e-9)
    slope = numerical_gradient(reference, student.detach().numpy())
    np.testing.assert_allclose(student.grad.numpy(), slope, atol=1e-7)
    assert soft_label_divergence(teacher, teacher, temperature).item() == pytest.approx(0, abs=1e-12)


def test_soft_labels_refuse_images():
    image = torch.rand(2, 1, 4, 4)
    with pytest.raises(UsageError, match="Response"):
        build_loss("SoftLabel")(LossInputs(image, image, NetworkOutput(image), NetworkOutput(image)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    logits, labels = maps(5, 7), torch.tensor([0, 6, 3, 3, 1])
    loss = build_loss("CrossEntropy", label_smoothing=smoothing)
    value = loss(LossInputs(logits, logits, NetworkOutput(logits), labels=labels))["cross_entropy"]
    log_probabilities = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
    target = np.full((5, 7), smoothing / 7)
    target[range(5), labels] += 1 - smoothing
    assert value.item() == pytest.approx(-(target * log_probabilities).sum() / 5, rel=1e-9)
    with pytest.raises(UsageError, match="labels"):
        loss(LossInputs(logits, logits, NetworkOutput(logits)))
