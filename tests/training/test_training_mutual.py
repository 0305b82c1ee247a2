"""Two networks that teach each other: who changes when, what is saved, what is exported."""

from __future__ import annotations

import copy

import pytest
import torch
from digits import CPU, digits_recipe, run

from sr_kd.errors import UsageError
from sr_kd.networks.files import load_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.report import write_report
from sr_kd.recipes.run import run_recipe
from sr_kd.training.checkpoint import read_state
from sr_kd.training.plan import plan_phase

MUTUAL = {
    "trains": "student",
    "partner": "teacher",
    "losses": [
        {"type": "CrossEntropy"},
        {"type": "IEKD", "taps": ["stage3", {"student": "stage2", "teacher": "stage1"}], "divide": "random"},
        {"type": "SRRL", "taps": ["stage3"]},
    ],
}


@pytest.fixture
def recipe(tmp_path):
    return digits_recipe(tmp_path, {"mutual": MUTUAL})


@pytest.fixture
def plan(recipe):
    checked = check_recipe(recipe)
    student, partner = checked.networks.new("student", 0), checked.networks.new("teacher", 0)
    task = checked.data.task("mutual", 0, [student, partner], CPU, quiet=True)
    return plan_phase(recipe, "mutual", student, partner, checked.losses["mutual"], task, CPU)


def weights(module):
    return copy.deepcopy(dict(module.named_parameters()) | dict(module.named_buffers()))


def changed(module, before):
    return {name for name, value in weights(module).items() if not torch.equal(value, before[name])}


def test_each_turn_changes_its_own_network_and_adapters_alone(plan):
    (stage,) = (factory() for factory in plan.stages)
    first, partner = plan.step.first, plan.step.partner
    for turn, own, other in ((stage.partner, partner, first), (stage.first, first, partner)):
        before, fixed = weights(own), weights(other)
        turn.update(0, measure=False)
        names = changed(own, before)
        assert changed(other, fixed) == set()  # its running statistics neither
        for part in ("student.stage3", "student.entry.1.running_mean", "losses.SRRL.connectors", "losses.IEKD.halves"):
            assert any(name.startswith(part) for name in names), part
        assert any(name.startswith("losses.IEKD.autoencoders") for name in names)


def test_the_partner_learns_the_taps_the_other_way_round(plan):
    pairs = [(pair.student, pair.teacher) for pair in plan.step.first.losses["IEKD"].pairs]
    reverse = [(pair.student, pair.teacher) for pair in plan.step.partner.losses["IEKD"].pairs]
    assert pairs == [("stage3", "stage3"), ("stage2", "stage1")]
    assert reverse == [("stage3", "stage3"), ("stage1", "stage2")]


def test_the_auto_encoder_is_fixed_while_its_student_learns(plan):
    (stage,) = (factory() for factory in plan.stages)
    step = plan.step.partner
    stage.partner.update(0, measure=False)
    before = weights(step.losses["IEKD"].autoencoders)
    stage.partner.training.update(1, measure=False)
    assert changed(step.losses["IEKD"].autoencoders, before) == set()
    assert not any(parameter.requires_grad for parameter in step.losses["IEKD"].autoencoders.parameters())


def test_both_networks_are_exported_and_compared(recipe):
    workspace = run(recipe)
    result = workspace.result("mutual", 0)
    files = {"net_g_latest.pth": 2, "net_partner_latest.pth": 4}
    for file, width in files.items():
        assert load_network(workspace.models("mutual", 0) / file).network.arguments["width"] == width
    table, _ = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command")
    rows = [line.split("|")[1:3] for line in table.read_text().splitlines()[4:6]]
    accuracies = [result[part]["digits"]["top1"] for part in ("scores", "partner")]
    assert [(name.strip(), float(value)) for name, value in rows] == [
        (name, pytest.approx(value, abs=0.005))
        for name, value in zip(("mutual", "mutual (partner)"), accuracies, strict=True)
    ]


def assert_same(left, right):
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    else:
        assert left == right


def test_a_resumed_run_ends_with_the_same_bits(recipe):
    workspace = run(recipe)
    folder = workspace.states("mutual", 0).folder
    whole = read_state(folder / "8.state")
    for file in ("8.state", "6.state", "finished.json"):
        (folder / file).unlink()
    run(recipe, resume=True)
    assert_same(read_state(folder / "8.state"), whole)
    assert whole["optimization"]["partner"]["preparing"]["IEKD"]["optimizer"]["state"]


def test_two_super_resolution_students(write_recipe):
    path = write_recipe(
        networks={"first": {"type": "FSRCNN"}, "second": {"type": "FSRCNN", "d": 24, "s": 8, "color": "rgb"}},
        phases={
            "mutual": {
                "trains": "first",
                "partner": "second",
                "total_iter": 3,
                "losses": [{"type": "L1"}, {"type": "IEKD", "taps": ["expanding"]}],
            }
        },
    )
    recipe = load_recipe(path)
    workspace = run_recipe(check_recipe(recipe), CPU)
    written = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command", quiet=True)
    assert [path.name for path in written] == ["table.md", "results.json", "montage.png"]
    assert "| mutual (partner) |" in written[0].read_text()
    partner = workspace.result("mutual", 0)["partner"]["val"]["psnr"]
    assert f"| mutual (partner) | {partner:.3f} /" in written[0].read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"partner": "teachr"}, "did you mean 'teacher'"),
        ({"partner": "student"}, "a name of its own"),
        ({"ema_decay": 0.9}, "ema_decay.*cannot be combined with a partner"),
        ({"accumulate": 2}, "accumulate.*must be 1 with a partner"),
        ({"losses": [{"type": "AT", "taps": [{"student": "stage1", "teacher": "stag2"}]}]}, "did you mean 'stage2'"),
    ],
)
def test_an_impossible_partner_is_refused(tmp_path, options, text):
    with pytest.raises(UsageError, match=text):
        check_recipe(digits_recipe(tmp_path, {"mutual": MUTUAL | options}), data=False)
