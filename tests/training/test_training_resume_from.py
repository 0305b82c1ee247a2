"""Which state a phase goes on from, and what a validation cannot cost."""

from __future__ import annotations

import hashlib
import io
import pickle

import pytest
import torch
from digits import CPU

from sr_kd.cli.main import main
from sr_kd.errors import SrKdError
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.training.checkpoint import StateFolder, read_state

SHORT = {
    "networks": {"student": {"type": "FSRCNN", "init": "bicubic"}},
    "phases": {"student": {"trains": "student", "total_iter": 12, "losses": [{"type": "L1"}]}},
    "logger": {"print_freq": 4, "save_checkpoint_freq": 4, "keep_checkpoints": 0},
}


def signed(path, content):
    path.write_bytes(content + hashlib.sha256(content).digest())


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def hostile():
    """Bodies that a damaged disk or a stranger may leave under a right checksum."""
    good = saved({"stage": 0})
    yield b""
    yield b"not a zip file"
    yield pickle.dumps({"stage": 0})
    yield good[:100] + bytes(40) + good[140:]
    yield saved([1, 2])
    yield saved({})
    yield saved({"stage": 7, "iteration": 1, "step": {}})
    yield saved({"stage": "x", "iteration": None, "step": 3})
    yield saved({"stage": 0, "iteration": 10**9, "step": {}, "ema": None, "optimization": {}, "best": 0})


@pytest.mark.parametrize("number", range(9))
def test_a_signed_state_with_a_hostile_body_costs_that_state_only(write_recipe, number, caplog):
    path = write_recipe(**SHORT)
    workspace = run_recipe(check_recipe(load_recipe(path)), CPU)
    folder = workspace.states("student", 0).folder
    whole = read_state(folder / "12.state")
    signed(folder / "12.state", list(hostile())[number])
    (folder / "finished.json").unlink()
    run_recipe(check_recipe(load_recipe(path)), CPU, RunOptions(resume=True))
    assert "12.state" in caplog.text
    assert "trying the state before it" in caplog.text
    again = read_state(folder / "12.state")
    assert all(torch.equal(value, again["step"][name]) for name, value in whole["step"].items())


@pytest.mark.parametrize("number", range(9))
def test_a_signed_state_with_a_hostile_body_is_looked_at_in_a_sentence(tmp_path, number, capsys):
    signed(tmp_path / "12.state", list(hostile())[number])
    code = main(["info", str(tmp_path / "12.state")])
    said = capsys.readouterr()
    assert said.out if code == 0 else code == 1 and said.err.startswith("sr-kd info: error: ")


def test_a_state_of_another_network_is_not_loaded_halfway(write_recipe):
    path = write_recipe(**SHORT)
    workspace = run_recipe(check_recipe(load_recipe(path)), CPU)
    folder = workspace.states("student", 0).folder
    whole = read_state(folder / "12.state")
    (folder / "finished.json").unlink()
    for state in ("4", "8", "12"):
        other = read_state(folder / f"{state}.state")
        other["step"] = {name: value + 1 for name, value in other["step"].items()}
        other["step"].popitem()
        signed(folder / f"{state}.state", saved(other))
    run_recipe(check_recipe(load_recipe(path)), CPU, RunOptions(resume=True))
    again = read_state(folder / "12.state")
    assert all(torch.equal(value, again["step"][name]) for name, value in whole["step"].items())


def test_a_validation_that_fails_does_not_cost_the_state(write_recipe, photographs, tmp_path):
    """An image is cut off while the run is at work; once it is whole again, the run ends as if nothing had been."""
    import shutil

    folder = tmp_path / "own"
    shutil.copytree(photographs / "val", folder)
    options = {**SHORT, "datasets__val__dataroot_gt": str(folder), "val": {"val_freq": 4}}
    path = write_recipe(**options)
    recipe = load_recipe(path)
    workspace = run_recipe(check_recipe(recipe), CPU)
    expected = read_state(workspace.states("student", 0).folder / "12.state")
    image = folder / "coffee.png"
    whole = image.read_bytes()

    def cut_off(target=StateFolder.save):
        def save(self, iteration, state):
            written = target(self, iteration, state)
            if iteration == 4:
                image.write_bytes(whole[: len(whole) // 2])
            return written

        return save

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateFolder, "save", cut_off())
        with pytest.raises(SrKdError, match=r"coffee\.png"):
            run_recipe(check_recipe(load_recipe(path)), CPU)
    assert workspace.states("student", 0).iterations() == [4]
    image.write_bytes(whole)
    run_recipe(check_recipe(load_recipe(path)), CPU, RunOptions(resume=True))
    found = read_state(workspace.states("student", 0).folder / "12.state")
    assert found["best"] == expected["best"]
    assert all(torch.equal(value, found["step"][name]) for name, value in expected["step"].items())


def test_the_best_network_is_chosen_anew_by_another_metric(write_recipe, caplog):
    options = {**SHORT, "val": {"val_freq": 4, "metrics": ["psnr", "ssim"]}}
    workspace = run_recipe(check_recipe(load_recipe(write_recipe(**options))), CPU)
    folder = workspace.states("student", 0).folder
    for file in ("12.state", "finished.json"):
        (folder / file).unlink()
    options["val"]["metrics"] = ["ssim", "psnr"]
    run_recipe(check_recipe(load_recipe(write_recipe(**options))), CPU, RunOptions(resume=True))
    assert "the best network is chosen anew, by ssim of val" in caplog.text
    best = read_state(folder / "12.state")["best"]
    assert best["metric"] == "ssim"
    assert 0 < best["value"] <= 1
