"""A student and its discriminator: who changes when, what is saved, what happens when one of them wins."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
import torch
from digits import CPU

from sr_kd.errors import SrKdError, UsageError
from sr_kd.losses import LossInputs, NetworkOutput, build_loss
from sr_kd.networks.files import load_network
from sr_kd.networks.state_files import read_state as read_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.training.checkpoint import read_state
from sr_kd.training.plan import plan_phase

ADVERSARIAL = {"type": "Adversarial", "width": 4, "weight": 1e-2, "r1": 0.1}


def phases(loss=None, **options):
    first = {"trains": "student", "total_iter": 4, "losses": [{"type": "L1"}]}
    second = {"needs": ["student"], "init": {"from": "student"}, "ema_decay": 0.9, "optim": {"lr": 1e-3}}
    second |= {"trains": "student", "total_iter": 8, "losses": [{"type": "L1"}, ADVERSARIAL | (loss or {})]}
    return {"student": first, "sharpened": second | options}


@pytest.fixture
def write(write_recipe):
    def written(**changes):
        networks = {"student": {"type": "FSRCNN", "d": 12, "s": 8, "m": 1, "init": "bicubic"}}
        return load_recipe(write_recipe(networks=networks, phases=phases(**changes)))

    return written


def plan_of(recipe):
    checked = check_recipe(recipe)
    student = checked.networks.new("student", 0)
    task = checked.data.task("sharpened", 0, [student], CPU, quiet=True)
    return plan_phase(recipe, "sharpened", student, None, checked.losses["sharpened"], task, CPU)


def logits(loss, image):
    with torch.no_grad():
        return loss.discriminator(image).numpy()


@pytest.mark.parametrize("form", ["least_squares", "relativistic"])
def test_both_sides_minimize_what_the_papers_say(form):
    torch.manual_seed(0)
    loss = build_loss("Adversarial", form=form, width=4).double()
    sr, hr = torch.rand(2, 1, 16, 24, dtype=torch.float64), torch.rand(2, 3, 16, 24, dtype=torch.float64)
    hr = hr[:, :1]
    fake, real = logits(loss, sr), logits(loss, hr)
    student = loss(LossInputs(hr, hr, NetworkOutput(sr)))["adversarial"].item()
    judged, accuracy = loss.judge(hr, sr)

    def entropy(values, label):
        return -np.log(1 / (1 + np.exp(-values if label else values))).mean()

    if form == "least_squares":
        assert student == pytest.approx(((fake - 1) ** 2).mean() / 2, rel=1e-9)
        assert judged.item() == pytest.approx((((real - 1) ** 2).mean() + (fake**2).mean()) / 2, rel=1e-9)
        right = [*(real > 0.5).ravel(), *(fake < 0.5).ravel()]
    else:
        to_fake, to_real = fake - real.mean(), real - fake.mean()
        assert student == pytest.approx((entropy(to_fake, 1) + entropy(to_real, 0)) / 2, rel=1e-9)
        assert judged.item() == pytest.approx((entropy(to_real, 1) + entropy(to_fake, 0)) / 2, rel=1e-9)
        right = [*(to_real > 0).ravel(), *(to_fake < 0).ravel()]
    assert accuracy.item() == pytest.approx(np.mean(right))


def test_r1_is_the_squared_gradient_at_real_images():
    torch.manual_seed(0)
    plain, penalized = (build_loss("Adversarial", width=2, r1=r1).double() for r1 in (0.0, 3.0))
    penalized.load_state_dict(plain.state_dict())
    hr, sr = (torch.rand(2, 3, 8, 8, dtype=torch.float64) for _ in range(2))
    slopes = np.zeros(hr.shape)
    for index in np.ndindex(slopes.shape):
        moved = [hr.clone(), hr.clone()]
        moved[0][index] += 1e-6
        moved[1][index] -= 1e-6
        slopes[index] = (logits(plain, moved[0]).sum() - logits(plain, moved[1]).sum()) / 2e-6
    penalty = penalized.judge(hr, sr)[0] - plain.judge(hr, sr)[0]
    assert penalty.item() == pytest.approx(3 / 2 * (slopes**2).sum() / 2, rel=1e-5)


def test_each_turn_changes_its_own_network_alone(write):
    plan = plan_of(write())
    (stage,) = (factory() for factory in plan.stages)
    loss = plan.step.losses["Adversarial"]
    before = copy.deepcopy(plan.step.state_dict())
    loss.seen = []
    stage.training.update(0, measure=True)
    changed = {name for name, value in plan.step.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("student.") for name in changed)
    assert all(parameter.grad is None for parameter in loss.discriminator.parameters())
    before = copy.deepcopy(plan.step.state_dict())
    values = stage._judge("Adversarial", 0, measure=True)
    changed = {name for name, value in plan.step.state_dict().items() if not torch.equal(value, before[name])}
    assert all(name.startswith("losses.Adversarial.") for name in changed)
    weights = {name for name, _ in plan.step.named_parameters() if "discriminator" in name}
    assert weights <= changed
    assert set(values) == {"discriminator/Adversarial/loss", "discriminator/Adversarial/accuracy"}


def same(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "precision": "bf16"}])
def test_a_resumed_run_ends_with_the_same_bits(write, options):
    recipe = write(**options)
    workspace = run_recipe(check_recipe(recipe), CPU)
    folder = workspace.states("sharpened", 0).folder
    whole = read_state(folder / "8.state")
    for file in ("8.state", "finished.json"):
        (folder / file).unlink()
    run_recipe(check_recipe(recipe), CPU, RunOptions(resume=True))
    assert same(read_state(folder / "8.state"), whole)
    assert whole["optimization"]["discriminators"]["Adversarial"]["optimizer"]["state"]
    file = workspace.models("sharpened", 0) / "net_g_latest.pth"
    averaged, trained = (read_network(file, key).tensors for key in ("params_ema", "params"))
    assert any(not torch.equal(averaged[name], trained[name]) for name in averaged)
    assert not any("discriminator" in name for name in trained)
    assert load_network(file).network.scale == 2


def test_a_phase_may_get_a_discriminator_later(write, write_recipe):
    recipe = write()
    (without := phases()["sharpened"])["losses"] = [{"type": "L1"}]
    networks = {"student": dict(recipe.networks["student"].arguments, type="FSRCNN", init="bicubic")}
    first = load_recipe(write_recipe(networks=networks, phases={"student": phases()["student"], "sharpened": without}))
    workspace = run_recipe(check_recipe(first), CPU)
    folder = workspace.states("sharpened", 0).folder
    for file in ("8.state", "finished.json"):
        (folder / file).unlink()
    run_recipe(check_recipe(recipe), CPU, RunOptions(resume=True, continue_with=True))
    assert "discriminators" in read_state(folder / "8.state")["optimization"]


def test_a_discriminator_that_wins_is_told(write, caplog):
    for on_collapse in ("warn", "stop"):
        plan = plan_of(write(loss={"on_collapse": on_collapse, "most_accuracy": 0.9}))
        (stage,) = (factory() for factory in plan.stages)
        plan.step.losses["Adversarial"].accuracy.fill_(0.995)
        if on_collapse == "stop":
            with pytest.raises(SrKdError, match=r"is right in 9\d\.\d% of all places.*last saved state is good"):
                stage.update(0, measure=True)
            continue
        with caplog.at_level(logging.WARNING, "sr_kd"):
            for iteration in range(3):
                stage.update(iteration, measure=True)
        assert [record.message for record in caplog.records if "learns next to nothing" in record.message][1:] == []
        assert "learns next to nothing" in caplog.text


def test_what_it_cannot_be_combined_with_is_refused(write):
    with pytest.raises(UsageError, match=r"compile.*cannot be combined with an adversarial loss"):
        check_recipe(write(compile=True))
    with pytest.raises(UsageError, match="at least 8 pixels; they are 4x4: raise gt_size"):
        image = torch.rand(1, 1, 4, 4)
        build_loss("Adversarial")(LossInputs(image, image, NetworkOutput(image)))
