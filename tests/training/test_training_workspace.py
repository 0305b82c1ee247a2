"""An experiment's folder: one process, one recipe, files that may be damaged."""

from __future__ import annotations

import json
import os

import pytest

from sr_kd.errors import SrKdError, UsageError
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.lock import only_run_of
from sr_kd.recipes.workspace import Workspace
from sr_kd.training.checkpoint import StateFolder


@pytest.fixture
def workspace(write_recipe):
    """``workspace(*overrides)`` of a small recipe."""
    path = write_recipe()
    return lambda *overrides: Workspace(load_recipe(path, overrides))


def test_the_same_recipe_continues(workspace):
    workspace().prepare(resume=True)
    workspace("val.val_freq=3", "logger.print_freq=1").prepare(resume=True)
    workspace("datasets.train.memory_budget=1e-6", "datasets.train.num_worker_per_gpu=1").prepare(resume=True)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("networks.student.d=40", "networks.student.d: nothing then, 40 now"),
        ("phases.teacher.init={from: student}", "phases.teacher.init: None then, nothing now"),
        ("phases.student.init=null", "phases.student.init.from: 'teacher' then, nothing now"),
        ("phases.student.total_iter=17", "phases.student.total_iter: 16 then, 17 now"),
        ("phases.student.losses.1.likelihood=gaussian", "losses[1].likelihood: nothing then, 'gaussian' now"),
        ("phases.student.losses=[{type: L1}]", "phases.student.losses[1].type: 'VID' then, nothing now"),
        (
            "phases.teacher.losses=[{type: L1}, {type: Imitation, weight: 1e-2}, {type: L2}]",
            "losses[2].type: nothing then",
        ),
        ("phases.student.losses.1.weight=7", "phases.student.losses[1].weight: 0.0001 then, 7.0 now"),
    ],
)
def test_a_changed_recipe_does_not_continue(workspace, change, key):
    workspace().prepare(resume=True)
    with pytest.raises(UsageError, match="begun with other options") as refused:
        workspace(change).prepare(resume=True)
    assert key in str(refused.value)


def test_an_edited_plugin_is_pointed_out(workspace, caplog):
    before, after = ({"own.py": digest} for digest in ("one", "two"))
    for digests, warned in ((before, False), (before, False), (after, True), (after, False)):
        caplog.clear()
        Workspace(workspace().recipe.with_plugins(digests)).prepare(resume=True)
        assert ("plug-in own.py was changed since this run began" in caplog.text) == warned


def test_an_option_that_came_later_changes_nothing_by_its_default(workspace):
    first = workspace()
    first.prepare(resume=True)
    record = json.loads((first.root / "recipe.json").read_text())
    del record["networks.student.param_key"]
    (first.root / "recipe.json").write_text(json.dumps(record))
    workspace().prepare(resume=True)
    with pytest.raises(UsageError, match="param_key: None then, 'params' now"):
        workspace("networks.student.param_key=params").prepare(resume=True)


def test_the_batch_over_all_processes_must_stay(workspace):
    workspace("datasets.train.batch_size_per_gpu=4").prepare(resume=True, processes=2)
    workspace("datasets.train.batch_size_per_gpu=8").prepare(resume=True, processes=1)
    with pytest.raises(UsageError, match="batch_size_per_gpu times processes: 8 then, 16 now"):
        workspace("datasets.train.batch_size_per_gpu=8").prepare(resume=True, processes=2)


def test_a_phase_may_be_added(write_recipe):
    recipe = load_recipe(write_recipe())
    more = {**recipe.phases, "more": recipe.phases["student"]}
    Workspace(recipe).prepare(resume=True)
    Workspace(recipe.model_copy(update={"phases": more})).prepare(resume=True)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"iterations": 1'])
def test_damaged_records_of_a_run_without_states_are_named(workspace, content):
    space = workspace()
    space.prepare(resume=True)
    space.finish("teacher", 0, {"iterations": 12, "scores": {}})
    finished, record = space.states("teacher", 0).folder / "finished.json", space.root / "recipe.json"
    finished.write_text(content)
    with pytest.raises(SrKdError, match=r"finished\.json is damaged, and there is no state to end anew from; remove"):
        space.result("teacher", 0)
    record.write_text(content)
    with pytest.raises(SrKdError, match=r"recipe\.json is damaged or missing, and no state knows .* leave out --auto"):
        space.prepare(resume=True)


@pytest.mark.skipif(os.name == "nt", reason="system: no such locks")
def test_one_process_at_a_time(tmp_path):
    with only_run_of(tmp_path / "name"):
        with pytest.raises(SrKdError, match="another process is running"), only_run_of(tmp_path / "name"):
            pass
        with only_run_of(tmp_path / "other"):
            pass
    with only_run_of(tmp_path / "name"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="system: no such locks")
def test_one_process_at_a_time_on_a_seed(tmp_path):
    experiment = tmp_path / "name"
    with only_run_of(experiment, [0, 1, 1]):
        with only_run_of(experiment, [2]):
            pass
        for taken in ([1], []):
            with pytest.raises(SrKdError, match="another process is running"), only_run_of(experiment, taken):
                pass
    with only_run_of(experiment), pytest.raises(SrKdError, match="another process"), only_run_of(experiment, [0]):
        pass


def test_a_shared_folder_is_never_renamed(workspace):
    space = workspace()
    space.root.mkdir(parents=True)
    (space.root / "of another process").touch()
    space.prepare(resume=False, shared=True)
    assert (space.root / "of another process").exists()


def test_damaged_later_states_displace_nothing(tmp_path):
    states = StateFolder(tmp_path, keep=1)
    states.save(5, {"iteration": 5})
    for damaged in (10, 15):
        (tmp_path / f"{damaged}.state").write_bytes(b"half")
    assert states.load_latest() == (5, {"iteration": 5})
    states.save(7, {"iteration": 7})
    assert states.iterations() == [7]
    assert states.load_latest() == (7, {"iteration": 7})
