"""What a comparison says of each arm's cost: iterations, and the time of one of them."""

from __future__ import annotations

import json
from statistics import median

import pytest
import torch
from digits import CPU, digits_recipe, run

from sr_kd.distributed import World
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.cost import cost_columns, cost_note, undistilled_arm
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.report import write_report
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.workspace import Workspace, finished_arms
from sr_kd.tasks.base import FinishedArm
from sr_kd.training.step_times import StepTimes

FT = {"type": "FT", "taps": ["stage3"], "pretrain_iter": 2}
PHASES = {
    "teacher": {"trains": "teacher"},
    "alone": {"trains": "student", "total_iter": "teacher + ft"},
    "ft": {"trains": "student", "needs": ["teacher"], "total_iter": 16, "losses": [{"type": "CrossEntropy"}, FT]},
    "again": {"trains": "student", "needs": ["ft"], "total_iter": 3},
}


def interval(times, *seconds, waiting=0.0):
    for value in seconds:
        times.add(value)
    times.end_interval(waiting)


def test_the_interval_of_the_first_iterations_does_not_count(tmp_path):
    times = StepTimes(tmp_path / "times.json")
    interval(times)  # the first iteration is logged
    interval(times, 9.0, 9.0)
    assert times.median is None
    interval(times, 1.0, 2.0)
    assert times.median == 1.5
    interval(times, 50.0, 50.0)
    interval(times, 0.5, 0.5, waiting=1.0)
    times.add(7.0)  # of an interval that has not ended
    assert times.median == 1.5


def test_a_resumed_process_adds_to_what_was_measured(tmp_path):
    times = StepTimes(tmp_path / "times.json")
    for _ in range(4):
        interval(times, 1.0, 1.0)
    times.save()
    resumed = StepTimes(tmp_path / "times.json")
    interval(resumed, 7.0)
    assert resumed.median == 1.0
    for _ in range(3):
        interval(resumed, 7.0, 7.0)
    assert resumed.median == 4.0


@pytest.mark.parametrize("content", ["", "{}", '["a"]', "\x00"])
def test_a_damaged_file_costs_only_the_measurements(tmp_path, content):
    (tmp_path / "times.json").write_text(content)
    assert StepTimes(tmp_path / "times.json").median is None


def cells(table):
    first, *_ = table.read_text().partition("\n| difference")
    rows = [line for line in first.splitlines() if line.startswith("|")]
    header, _, *rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in rows)
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def test_iterations_and_time_are_in_the_table(tmp_path):
    recipe = digits_recipe(tmp_path, PHASES, arms={name: name for name in ("alone", "ft", "again")}, seeds=[0, 1])
    workspace = run(recipe)
    table, results = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command")
    found = cells(table)
    assert found["alone"]["iterations"] == "24"
    assert found["ft"]["iterations"] == "8 + 2 + 16"
    assert found["again"]["iterations"] == "8 + 18 + 3"
    assert found["again"]["cost per step"] == "-"  # shorter than two print intervals
    assert found["alone"]["cost per step"].startswith("1.00 (")
    ratio, _, time = found["ft"]["cost per step"].partition(" (")
    measured = [arm.seconds_per_step for arm in finished_arms(workspace) if arm.label == "ft"]
    assert float(ratio) > 0
    assert time.endswith(" ms)")
    assert json.loads(results.read_text())["costs"]["ft"] == [
        {"iterations": [8, 2, 16], "seconds_per_step": seconds} for seconds in measured
    ]
    assert "relative to alone" in table.read_text()


def test_what_an_interrupted_run_has_measured_survives(tmp_path):
    recipe = digits_recipe(tmp_path, {"alone": PHASES["alone"] | {"total_iter": 16}})
    workspace = run(recipe)
    folder = workspace.states("alone", 0).folder
    before = json.loads((folder / "step_times.json").read_text())
    assert len(before) == 4  # logged: 1, 3, 4, 6, 8, 9, 12, 15, 16; the interval before 3 was the first
    for file in ("finished.json", "16.state"):
        (folder / file).unlink()
    run(recipe, resume=True)  # one iteration, a logged one
    assert json.loads((folder / "step_times.json").read_text()) == before
    assert workspace.result("alone", 0)["seconds_per_step"] == median(before)


def test_results_of_an_earlier_version_show_a_dash(write_recipe):
    baseline = {"trains": "student", "total_iter": "teacher + student", "losses": [{"type": "L1"}]}
    options = {"phases__baseline_total": baseline, "arms": {"PISR": "student", "baseline_total": "baseline_total"}}
    recipe = load_recipe(write_recipe(**options))
    workspace = run_recipe(check_recipe(recipe), World(0, 1, torch.device("cpu")))
    table = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command", quiet=True)[0]
    assert cells(table)["PISR"]["iterations"] == "12 + 16"
    assert cells(table)["baseline_total"]["cost per step"].startswith("1.00 (")
    assert cells(table)["bicubic"]["cost per step"] == "-"
    result = workspace.result("baseline_total", 0)
    del result["seconds_per_step"]
    workspace.finish("baseline_total", 0, result)
    write_report(workspace, check_recipe(recipe).data, CPU.device, "the command", quiet=True)
    assert cells(table)["baseline_total"]["cost per step"] == "-"
    assert cells(table)["PISR"]["cost per step"].endswith(" ms")


def test_times_are_relative_to_the_median_of_the_undistilled_arm(tmp_path):
    recipe = digits_recipe(tmp_path, PHASES, arms={"FT": "ft", "plain": "alone"})
    assert undistilled_arm(recipe, "student") == "plain"
    seconds = {"plain": [0.01, 0.02, 0.9], "FT": [0.03, None, 0.05]}
    arms = {
        label: [FinishedArm(label, "student", 0, tmp_path, {}, (1000, 500), value) for value in values]
        for label, values in seconds.items()
    }
    columns = cost_columns(recipe, arms)
    assert columns["cost per step"] == {"plain": "1.00 (20 ms)", "FT": "2.00 (40 ms)"}
    assert columns["iterations"]["FT"] == "1,000 + 500"
    slow = FinishedArm("plain", "student", 0, tmp_path, {}, (1,), 1.8437)
    assert cost_columns(recipe, {"plain": [slow]})["cost per step"] == {"plain": "1.00 (1,844 ms)"}


def test_a_teacher_is_no_undistilled_arm(tmp_path):
    recipe = digits_recipe(tmp_path, PHASES, arms={"teacher": "teacher", "FT": "ft"})
    assert undistilled_arm(recipe, "student") is undistilled_arm(recipe, "teacher") is None
    arm = FinishedArm("FT", "student", 0, Workspace(recipe).root, {}, (8,), 0.5)
    assert cost_columns(recipe, {"FT": [arm]})["cost per step"] == {"FT": "500 ms"}


def test_each_network_is_compared_with_itself(tmp_path):
    mutual = {"trains": "student", "partner": "teacher", "total_iter": 8}
    phases = {"mutual": mutual, "small": {"trains": "student"}, "large": {"trains": "teacher"}}
    recipe = digits_recipe(tmp_path, phases, arms={"mutual": "mutual", "small": "small", "large": "large"})
    seconds = {"mutual": ("student", 0.6), "mutual (partner)": ("teacher", 0.6), "small": ("student", 0.1)}
    seconds["large"] = ("teacher", 0.2)
    arms = {
        label: [FinishedArm(label, network, 0, tmp_path, {}, (8,), value)]
        for label, (network, value) in seconds.items()
    }
    assert cost_columns(recipe, arms)["cost per step"] == {
        "mutual": "6.00 (600 ms)",
        "mutual (partner)": "3.00 (600 ms)",
        "small": "1.00 (100 ms)",
        "large": "1.00 (200 ms)",
    }
    assert cost_note(recipe).endswith("relative to large and small.\n")
