"""``sr-kd status``: what a run's files tell while it trains, and at its end."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from sr_kd.recipes.lock import is_running, only_run_of
from sr_kd.recipes.time_left import recipe_outlook, seconds_left
from sr_kd.report.run import find_run
from sr_kd.report.status import Status, status_lines
from sr_kd.training.step_times import StepTimes


def make(phase, seed, done, finished=False, seconds=None):
    return Status(phase, 100 - done, seconds, seed, done, 100, finished, {})


def test_time_left_is_that_of_all_phases():
    begun = [make("teacher", 0, 100, True, 0.5), make("student", 0, 40, False, 2.0), make("teacher", 1, 0)]
    begun += [make("student", 1, 0), make("other", 1, 0)]
    assert seconds_left(begun) == 60 * 2.0 + 100 * 0.5 + 100 * 2.0 + 100 * 1.25
    assert seconds_left([make("teacher", 0, 0)]) is None


def test_every_phase_has_a_line():
    *lines, last = status_lines([make("teacher", 0, 100, True, 0.5), make("student", 0, 40, False, 2.0)])
    assert lines[0].startswith("teacher  seed 0  [####################]") and "done" in lines[0]
    assert "[########............]" in lines[1] and "begun, 2e+03 ms a step" in lines[1]
    assert last == "140 of 200 iterations (70 %), about 2 min left in one process"


def test_a_stopped_run_is_told_from_one_at_work(finished, tmp_path, run_cli):
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    folder = tmp_path / "experiments" / "tiny"
    (folder / "training_states" / "student" / "finished.json").unlink()
    for parts in ((), ([0],), ([0], ["student"])):
        with only_run_of(folder, *parts):
            assert is_running(folder) is True
            assert run_cli("status", folder).stdout.splitlines()[-1].startswith("running: 32 of 32 iterations")
    assert is_running(folder) is False
    last = run_cli("status", folder).stdout.splitlines()[-1]
    assert last.startswith("stopped: 32 of 32 iterations") and last.endswith("; sr-kd train --auto_resume goes on")
    assert json.loads(run_cli("status", folder, "--json").stdout)["running"] is False


def test_the_command_tells_it_from_another_terminal(finished, tmp_path, run_cli):
    folder = finished / "experiments" / "tiny"
    done = run_cli("status", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "finished: 32 iterations"
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    states = tmp_path / "experiments" / "tiny" / "training_states" / "baseline_total"
    (states / "finished.json").unlink()
    lines = (states / "scalars.jsonl").read_text().splitlines(keepends=True)
    (states / "scalars.jsonl").write_text("".join(line for line in lines if json.loads(line)["iteration"] <= 10))
    running = run_cli("status", tmp_path / "experiments" / "tiny", "--json")
    phases = {one["phase"]: one for one in json.loads(running.stdout)["phases"]}
    assert (phases["baseline_total"]["done"], phases["baseline_total"]["finished"]) == (10, False)
    assert phases["teacher"]["finished"] is True


def test_what_is_no_run_is_refused(run_cli, tmp_path):
    done = run_cli("status", ".", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "report", "features"])
@pytest.mark.parametrize("change", ["seeds=[]", "phases:baseline_total:total_iter=nobody"])
def test_a_recipe_that_cannot_be_any_more_is_refused(finished, run_cli, command, change):
    done = run_cli(command, finished / "tiny.yml", "--force_yml", change, cwd=finished)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and change.split("=")[0].split(":")[-1] in done.stderr


def test_training_tells_the_time_of_the_whole_recipe(finished, tmp_path):
    log = (finished / "experiments" / "tiny" / "train_tiny.log").read_text()
    assert re.search(r"baseline_total: whole recipe: \d+ s left", log)
    assert "teacher: whole recipe" not in log, "nothing was measured yet"
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    run = find_run(tmp_path / "experiments" / "tiny")
    for phase in ("teacher", "baseline_total"):
        (run.workspace.states(phase, 0).folder / "step_times.json").write_text("[30.0]")
    states = run.workspace.states("baseline_total", 0).folder
    for name in ("finished.json", "12.state", "16.state"):
        (states / name).unlink()
    assert run.workspace.states("baseline_total", 0).iterations() == [8]
    text = recipe_outlook(
        run.workspace, [(0, name) for name in run.recipe.phases], "student", 0, StepTimes(states / "none.json")
    )
    assert text(6) == "whole recipe: 5 min left", "8 + 2 iterations of half a minute"
