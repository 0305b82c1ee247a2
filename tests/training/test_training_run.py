"""A whole recipe in this process: first weights, what is kept on the disk, and what may change when it continues."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
import torch

from sr_kd.distributed import World
from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.files import load_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.networks import RecipeNetworks
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.recipes.workspace import Workspace
from sr_kd.training.run_log import RunLog

WORLD = World(0, 1, torch.device("cpu"))
DROPOUT = """
from torch import nn
from sr_kd.networks.base import SRNetwork, Tap
from sr_kd.networks.build import NETWORKS


class Dropping(SRNetwork):
    type_name = "Dropping"

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.arguments, self.scales, self.color = {"scale": scale}, (scale,), "y"
        self.taps, self.receptive_radius = {"body": Tap(8)}, 2
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Dropout(0.5))
        self.last = nn.Sequential(nn.Conv2d(8, scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def stages(self):
        return [("body", lambda state, _: self.body(state)), ("output", lambda state, _: self.last(state))]


def register():
    NETWORKS.register("Dropping", Dropping)
"""


def run(path, resume=False):
    return run_recipe(check_recipe(load_recipe(path)), WORLD, RunOptions(resume=resume))


def same(left, right):
    return all(torch.equal(value, right.state_dict()[name]) for name, value in left.state_dict().items())


@pytest.fixture
def baseline():
    return {"trains": "student", "total_iter": 4, "losses": [{"type": "L1"}]}


def test_arms_of_a_seed_begin_alike_and_a_warm_start_is_the_teachers_decoder(write_recipe, baseline):
    short = {"phases__teacher__total_iter": 2, "phases__student__total_iter": 2}
    path = write_recipe(**short, phases__baseline=baseline, phases__again=baseline, seeds=[3, 4])
    networks, workspace = RecipeNetworks(load_recipe(path)), run(path)
    first, again = (networks.student(phase, 3) for phase in ("baseline", "again"))
    assert same(first, again)
    assert not same(first, networks.student("baseline", 4))
    for seed in (3, 4):
        teacher = load_network(workspace.models("teacher", seed) / "net_g_latest.pth").network
        assert not same(teacher.decoder, networks.new("teacher", seed).decoder), "it was trained"
        assert same(networks.student("student", seed), teacher.decoder)


def test_a_teachers_decoder_may_start_from_a_finished_student(write_recipe, baseline):
    teacher = {
        "trains": "teacher",
        "needs": ["baseline"],
        "init": {"from": "baseline", "into": "decoder"},
        "total_iter": 1,
        "losses": [{"type": "L1"}],
    }
    path = write_recipe(phases__teacher=teacher, phases__student__total_iter=1, phases__baseline=baseline)
    networks, workspace = RecipeNetworks(load_recipe(path)), run(path)
    finished = load_network(workspace.models("baseline", 0) / "net_g_latest.pth").network
    begun = networks.student("teacher", 0)
    assert same(begun.decoder, finished)
    assert same(begun.encoder, networks.new("teacher", 0).encoder)


def test_the_newest_states_stay_and_the_best_network_is_kept(write_recipe):
    path = write_recipe(
        phases__student__total_iter=20, val={"val_freq": 4}, logger={"save_checkpoint_freq": 4, "keep_checkpoints": 2}
    )
    workspace = run(path)
    models = workspace.models("student", 0)
    assert workspace.states("student", 0).iterations() == [16, 20]
    assert {file.name for file in models.glob("*.pth")} == {
        "net_g_12.pth", "net_g_16.pth", "net_g_latest.pth", "net_g_best.pth"
    }  # fmt: skip
    scores = {file.stem: load_network(file).metadata["scores"]["val"]["psnr"] for file in models.glob("*.pth")}
    assert scores["net_g_best"] == max(scores.values())
    result = json.loads((workspace.states("student", 0).folder / "finished.json").read_text())
    assert result["scores"]["val"]["psnr"] == scores["net_g_latest"]


def test_a_network_is_exported_with_every_state(write_recipe):
    path = write_recipe(val={"val_freq": 1000}, logger={"save_checkpoint_freq": 6, "keep_checkpoints": 0})
    workspace = run(path)
    found = {path.name for path in workspace.models("student", 0).glob("net_g_[0-9]*.pth")}
    assert found == {"net_g_6.pth", "net_g_12.pth"}
    assert load_network(workspace.models("student", 0) / "net_g_6.pth").network.type_name == "FSRCNN"


def test_the_best_teacher_is_kept_whatever_metric_chooses_students(write_recipe):
    workspace = run(write_recipe(val={"metrics": ["ssim"]}, phases__student__total_iter=1))
    assert (workspace.models("teacher", 0) / "net_g_best.pth").exists()


def test_a_batch_that_no_memory_holds_is_one_sentence(write_recipe):
    path = write_recipe(datasets__train__batch_size_per_gpu=10**13)
    with pytest.raises(SrKdError, match=r"^cpu is out of memory \(.*batch_size_per_gpu"):
        run(path)


def test_dropout_is_a_function_of_seed_and_iteration(write_recipe, tmp_path):
    (tmp_path / "dropping.py").write_text(DROPOUT)
    phases = {"only": {"trains": "student", "total_iter": 3, "losses": [{"type": "L1"}]}}
    options = {"plugins": ["dropping.py"], "networks": {"student": {"type": "Dropping"}}, "phases": phases}
    found = []
    for name in ("one", "two"):
        torch.manual_seed(len(found))
        workspace = run(write_recipe(name=name, **options))
        found.append(load_network(workspace.models("only", 0) / "net_g_latest.pth").network)
    assert same(*found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"networks__student__d": 32}, "networks.student.d: nothing then, 32 now"),
        ({"phases__student__init": None}, "phases.student.init.from: 'teacher' then, nothing now"),
        ({"seeds": [1]}, "first seed: 0 then, 1 now"),
        ({"seeds": [0, 1]}, "several seeds: False then, True now"),
        ({"arms": {"a": "teacher", "b": "student"}}, "first arm: 'student' then, 'teacher' now"),
    ],
)
def test_what_decides_the_result_or_its_place_may_not_change(write_recipe, changes, sentence):
    Workspace(load_recipe(write_recipe())).prepare(resume=False)
    with pytest.raises(UsageError) as refusal:
        Workspace(load_recipe(write_recipe(**changes))).prepare(resume=True)
    assert sentence in str(refusal.value)


def test_phases_and_sets_may_be_added_to_a_run(write_recipe, baseline):
    Workspace(load_recipe(write_recipe())).prepare(resume=False)
    more = {"phases__baseline": baseline, "arms": {"PISR": "student", "baseline": "baseline"}, "val": {"val_freq": 2}}
    Workspace(load_recipe(write_recipe(**more))).prepare(resume=True)


def test_a_resumed_log_purges_the_steps_it_repeats(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = RunLog(tmp_path, 0)
    for iteration in range(1, 11):
        killed.scalars(iteration, {"value": 0.0})
    killed.flush()
    time.sleep(1.1)  # files are read in the order of their names, which hold the second
    with RunLog(tmp_path, 6) as resumed:
        for iteration in range(7, 9):
            resumed.scalars(iteration, {"value": 1.0})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("value")
    assert [(event.step, event.value) for event in events] == [(step, float(step > 6)) for step in range(1, 9)]


@pytest.mark.slow
def test_a_compiled_phase_learns_what_an_eager_one_does(write_recipe, tmp_path):
    """Iterations between logged ones are compiled, with the teacher's; logged ones look into the graph and are not."""

    def student(how):
        path = write_recipe(
            f"{how}.yml",
            name=f"compiled_{how}".replace("-", "_"),
            phases__student__compile=how,
            phases__student__total_iter=6,
            phases__student__losses=[{"type": "L1"}, {"type": "VID", "weight": 1e-2, "taps": ["expanding"]}],
            logger={"print_freq": 4, "save_checkpoint_freq": 6},
        )
        return load_network(run(path).models("student", 0) / "net_g_latest.pth").network

    eager, compiled = student(False), student("reduce-overhead")
    for left, right in zip(eager.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-5)


def test_a_seed_that_the_recipe_does_not_have(write_recipe):
    recipe = load_recipe(write_recipe(seeds=[0, 2]))
    with pytest.raises(UsageError, match="tiny has no seed 1; its seeds are 0, 2"):
        run_recipe(check_recipe(recipe), WORLD, RunOptions(seeds=[1]))


FULL_DISK = """
import logging, resource, sys
from pathlib import Path
from sr_kd.training.run_log import RunLog

logging.basicConfig(level="WARNING")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with RunLog(Path(sys.argv[1]), 0) as log:
    for iteration in range(2000):
        log.scalars(iteration, {"losses/total": 1.0, "learning_rate": 1e-3})
        if iteration % 100 == 0:
            log.flush()
print("the end")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="system: no limits on file sizes")
def test_events_that_cannot_be_written_are_a_warning(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "events")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.stdout == "the end\n", result.stderr
    assert result.stderr.count("training goes on without") == 1
    assert "Traceback" not in result.stderr
