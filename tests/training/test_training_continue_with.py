"""A way on after trouble: other options, a longer run, records that were damaged, networks that were changed."""

from __future__ import annotations

import json

import pytest
import torch
from digits import CPU
from poison import poison

from sr_kd.cli.main import main
from sr_kd.errors import UsageError
from sr_kd.networks.files import load_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.training.checkpoint import read_state

STUDENT = {"trains": "student", "total_iter": 8, "losses": [{"type": "L1"}]}
FEW = {
    "networks": {"student": {"type": "FSRCNN", "init": "bicubic"}},
    "logger": {"print_freq": 4, "save_checkpoint_freq": 4, "keep_checkpoints": 0},
}


def student(**options):
    return {"student": {**STUDENT, **options}}


def run(path, **options):
    return run_recipe(check_recipe(load_recipe(path)), CPU, RunOptions(resume=True, **options))


def last(workspace, phase="student"):
    iteration, state = workspace.states(phase, 0).load_latest()
    return iteration, state


def same(left, right):
    return all(torch.equal(value, right[name]) for name, value in left.items())


def test_a_run_that_left_the_numbers_goes_on_with_other_losses(write_recipe, tmp_path, capsys):
    losses = [{"type": "L1"}, {"type": "Poison", "first": 5, "last": 99}]
    options = {**FEW, "plugins": [poison(tmp_path)]}
    path = write_recipe(**options, phases=student(losses=losses, max_skipped_steps=2))
    train = ["train", "-opt", str(path), "--quiet", "--device", "cpu"]
    assert main(train) == 1
    assert "--continue_with" in capsys.readouterr().err
    write_recipe(**options, phases=student(optim={"type": "AdamW", "lr": 1e-4}, max_skipped_steps=2))
    assert main([*train, "--auto_resume"]) == 2
    refusal = capsys.readouterr().err
    assert "phases.student.losses[1].type: 'Poison' then, nothing now" in refusal
    assert "Add --continue_with to go on with these from the last states" in refusal
    assert main([*train, "--auto_resume", "--continue_with"]) == 0
    table = (tmp_path / "results" / "tiny" / "table.md").read_text()
    assert "- student, seed 0: from iteration 4 on with phases.student.losses[1]" in table
    assert "phases.student.optim.lr: 0.001 then, 0.0001 now" in table
    results = json.loads((tmp_path / "results" / "tiny" / "results.json").read_text())
    assert any("from iteration 4 on" in remark for run in results for remark in run.get("remarks", []))
    assert main([*train, "--auto_resume"]) == 0, "from now on these are its options"


def test_a_finished_run_is_made_longer_and_ends_with_the_bits_of_a_long_one(write_recipe):
    long = run(write_recipe(**FEW, name="long", phases=student(total_iter=12)))
    path = write_recipe(**FEW, phases=student())
    run(path)
    write_recipe(**FEW, phases=student(total_iter=12))
    with pytest.raises(UsageError, match=r"total_iter: 8 then, 12 now.*--continue_with"):
        run(path)
    workspace = run(path, continue_with=True)
    assert last(workspace)[0] == 12
    assert same(last(workspace)[1]["step"], last(long)[1]["step"])
    result = workspace.result("student", 0)
    assert result["iterations"] == 12
    assert result["history"] == ({"iteration": 8, "changes": ("phases.student.total_iter: 8 then, 12 now",)},)
    assert (workspace.states("student", 0).folder / "finished_at_8.json").exists()


def test_the_moments_of_a_kept_optimizer_go_on_at_the_new_rate(write_recipe):
    path = write_recipe(**FEW, phases=student())
    (run(path).states("student", 0).folder / "finished.json").unlink()
    write_recipe(**FEW, phases=student(total_iter=12, optim={"lr": 0.5}))
    workspace = run(path, continue_with=True)
    groups = read_state(workspace.states("student", 0).folder / "12.state")["optimization"]["optimizer"]
    assert groups["param_groups"][0]["lr"] == 0.5
    assert all(int(state["step"]) == 12 for state in groups["state"].values())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"networks": {"student": {"type": "FSRCNN", "init": "bicubic", "d": 24}}}, "cannot be changed on the way"),
        ({"phases": student(optim={"lr": 1e-4})}, "is finished \\(8 iterations\\).*larger total_iter"),
        ({"phases": student(total_iter=4)}, "larger total_iter"),
    ],
)
def test_what_cannot_go_on_is_refused(write_recipe, changes, sentence):
    path = write_recipe(**FEW, phases=student())
    run(path)
    write_recipe(**{**FEW, "phases": student(), **changes})
    with pytest.raises(UsageError, match=sentence):
        run(path, continue_with=True)
    write_recipe(**FEW, phases=student())
    run(path)


def test_a_teacher_that_has_taught_does_not_go_on_by_itself(write_recipe):
    run(write_recipe(phases__student__total_iter=2))
    with pytest.raises(UsageError, match=r"student has begun with what teacher was: remove .*training_states.student"):
        run(write_recipe(phases__student__total_iter=2, phases__teacher__total_iter=20), continue_with=True)


def test_a_length_that_is_a_sum_is_compared_as_a_number(write_recipe):
    phases = {"first": STUDENT, "alone": {**STUDENT, "total_iter": "first + 2"}}
    path = write_recipe(**FEW, phases=phases)
    run(path)
    phases["first"] = {**STUDENT, "total_iter": 9}
    write_recipe(**FEW, phases=phases)
    workspace = run(path, continue_with=True)
    assert [workspace.result(phase, 0)["iterations"] for phase in phases] == [9, 11]


def test_a_pre_training_cannot_be_added(write_recipe):
    path = write_recipe(phases__student__total_iter=2)
    (run(path).states("student", 0).folder / "finished.json").unlink()
    losses = [{"type": "L1"}, {"type": "FT", "taps": ["expanding"], "pretrain_iter": 2}]
    with pytest.raises(UsageError, match=r"pre-training .* cannot be changed, added or left out"):
        run(write_recipe(phases__student__total_iter=4, phases__student__losses=losses), continue_with=True)


@pytest.mark.parametrize("content", ["", "{", "{}", None])
def test_records_are_made_anew_from_the_states(write_recipe, content, caplog):
    path = write_recipe(**FEW, phases=student())
    workspace = run(path)
    expected = {key: value for key, value in workspace.result("student", 0).items() if key != "seconds_per_step"}
    record, finished = workspace.root / "recipe.json", workspace.states("student", 0).folder / "finished.json"
    before = json.loads(record.read_text())
    for file in (record, finished):
        file.unlink() if content is None else file.write_text(content)
    write_recipe(**FEW, phases=student(optim={"lr": 1e-4}))
    with pytest.raises(UsageError, match=r"optim\.lr: 0\.001 then, 0\.0001 now"):
        run(path)
    assert "made anew from" in caplog.text
    write_recipe(**FEW, phases=student())
    found = run(path).result("student", 0)
    assert {key: value for key, value in found.items() if key != "seconds_per_step"} == expected
    assert json.loads(record.read_text()) == before


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_network_that_was_changed_is_exported_anew_from_the_last_state(write_recipe, damage, caplog, capsys):
    path = write_recipe(phases__student__total_iter=2)
    train = ["train", "-opt", str(path), "--quiet", "--device", "cpu", "--auto_resume"]
    assert main(train) == 0
    recipe = load_recipe(path)
    workspace = run(path)
    file = workspace.models("teacher", 0) / "net_g_latest.pth"
    whole, expected = file.read_bytes(), load_network(file).network.state_dict()
    if damage == "flip":
        file.write_bytes(bytes([*whole[:5000], whole[5000] ^ 1, *whole[5001:]]))
    elif damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.unlink()
    assert workspace.result("teacher", 0) is None
    assert "net_g_latest.pth is damaged: teacher ends anew from its last state" in caplog.text
    again = run_recipe(check_recipe(recipe), CPU, RunOptions(resume=True))
    assert same(expected, load_network(again.models("teacher", 0) / "net_g_latest.pth").network.state_dict())
    assert again.result("teacher", 0) is not None
