"""Gradients and weights that are NaN or Inf: left out, counted, never saved; the run stops with the reason."""

from __future__ import annotations

import hashlib
import io

import pytest
import torch
from digits import CPU
from poison import poison
from torch import nn

from sr_kd.cli.main import main
from sr_kd.errors import SrKdError
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.training.checkpoint import StateFolder, read_state
from sr_kd.training.optimization import HALVINGS, Optimization

NAN, INF = float("nan"), float("inf")
ONE_PHASE = {"networks": {"student": {"type": "FSRCNN", "init": "bicubic"}}}


def one_phase(first, last, **options):
    losses = [{"type": "L1"}, {"type": "Poison", "first": first, "last": last}]
    return {"student": {"trains": "student", "total_iter": 12, "losses": losses, **options}}


@pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.SGD])
def test_a_step_with_a_bad_gradient_changes_nothing(cls):
    parameter = nn.Parameter(torch.ones(3))
    optimization = Optimization(cls([parameter], lr=0.1), CPU.device, clip=1.0, most=2)
    for iteration, value in enumerate((1.0, NAN, 1.0, INF)):
        before = parameter.detach().clone()
        optimization.begin()
        optimization.backward((parameter * value).sum())
        optimization.step(iteration)
        assert torch.equal(parameter, before) == (value != 1.0)
        assert not optimization.is_stuck(measure=True), "two, but not in a row"
    assert (optimization.skipped, optimization.last_skipped) == (2, 3)
    optimization.begin()
    optimization.backward((parameter * INF).sum())
    optimization.step(4)
    assert optimization.is_stuck(measure=False)


def test_the_count_goes_on_after_a_resume_and_float16_may_halve_its_scale():
    def optimization(half=False):
        return Optimization(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), CPU.device, half=half, most=3)

    first, again = optimization(), optimization()
    for iteration in range(2):
        first.begin()
        first.backward(first.parameters[0].sum() * NAN)
        first.step(iteration)
    again.load_state_dict(first.state_dict())
    assert again.skipped == 2
    again.begin()
    again.backward(again.parameters[0].sum() * NAN)
    again.step(2)
    assert again.is_stuck(measure=False)
    assert optimization(half=True).most == 3 + HALVINGS


@pytest.fixture
def recipe(write_recipe, tmp_path):
    def write(first, last, **options):
        return write_recipe(
            plugins=[poison(tmp_path)],
            phases=one_phase(first, last, **options),
            logger={"print_freq": 4, "save_checkpoint_freq": 3, "keep_checkpoints": 0},
            **ONE_PHASE,
        )

    return write


def test_a_nan_gradient_at_a_saving_iteration_is_left_out_and_counted(recipe, caplog):
    caplog.set_level("DEBUG", logger="sr_kd")
    workspace = run_recipe(check_recipe(load_recipe(recipe(2, 4))), CPU)
    states = workspace.states("student", 0)
    assert states.iterations() == [3, 6, 9, 12]
    for iteration in states.iterations():
        for name, value in read_state(states.folder / f"{iteration}.state")["step"].items():
            assert value.isfinite().all(), name
    assert workspace.result("student", 0)["skipped_steps"] == 3
    assert "skipped_steps=3" in workspace.log.read_text()


def test_too_many_in_a_row_end_the_run_with_the_reason(recipe, capsys):
    path = recipe(5, 99, max_skipped_steps=4)
    assert main(["train", "-opt", str(path), "--quiet", "--device", "cpu"]) == 1
    message = capsys.readouterr().err
    for part in (
        "NaN or Inf 4 times in a row, last at iteration 8",
        "Poison/poison = 0 with a gradient of norm nan",
        "learning rate 0.001, batch 8",
        "--continue_with",
    ):
        assert part in message
    states = sorted(path.parent.rglob("*.state"))
    assert [state.name for state in states] == ["3.state", "6.state"]
    assert all(value.isfinite().all() for value in read_state(states[-1])["step"].values())


def test_a_pre_training_stops_as_well(write_recipe):
    path = write_recipe(
        phases__student__losses=[
            {"type": "L1"},
            {"type": "FT", "taps": ["expanding"], "pretrain_iter": 40, "pretrain_lr": 1e30},
        ],
        phases__student__max_skipped_steps=3,
        phases__teacher__total_iter=1,
    )
    with pytest.raises(SrKdError, match="pretraining FT: the gradient was NaN or Inf 3 times in a row"):
        run_recipe(check_recipe(load_recipe(path)), CPU)


@pytest.mark.parametrize("value", [NAN, INF])
def test_bad_weights_are_never_saved_and_never_gone_on_from(tmp_path, value, caplog):
    states = StateFolder(tmp_path)
    good = {"step": {"weight": torch.ones(2), "gradient_ratios.strength": torch.tensor([NAN])}, "iteration": 1}
    bad = {"step": {"weight": torch.tensor([1.0, value])}, "iteration": 2}
    states.save(1, good)
    with pytest.raises(SrKdError, match=r"iteration 2 is not saved: 1 of 1 tensors are NaN or Inf.*step\.weight"):
        states.save(2, bad)
    assert states.iterations() == [1]
    buffer = io.BytesIO()
    torch.save(bad, buffer)
    content = buffer.getvalue()
    (tmp_path / "2.state").write_bytes(content + hashlib.sha256(content).digest())
    assert states.load_latest()[0] == 1
    assert "2.state is not gone on from: 1 of 1 tensors are NaN or Inf" in caplog.text


def test_bad_weights_are_never_exported(write_recipe):
    """A rate so high that the weights leave the range of numbers by a step that is finite itself."""
    path = write_recipe(
        phases={"student": {"trains": "student", "total_iter": 3, "optim": {"type": "SGD", "lr": 3e38, "momentum": 0}}},
        networks={"student": {"type": "FSRCNN", "init": "bicubic"}},
        logger={"save_checkpoint_freq": 100},
        val={"val_freq": 1},
    )
    recipe = load_recipe(path)
    with pytest.raises(SrKdError, match=r"NaN or Inf|diverged"):
        run_recipe(check_recipe(recipe), CPU)
    for file in path.parent.rglob("net_g_*.pth"):
        assert all(value.isfinite().all() for value in torch.load(file)["params"].values())


def test_the_mean_of_the_parts_is_logged():
    from test_training_student_with_losses import Photograph, stage_of

    losses = [{"type": "L1"}, {"type": "L2", "weight": 0.5}]
    whole, parts = stage_of(Photograph(4), losses), stage_of(Photograph(2), losses, accumulate=2)
    expected, found = (stage.update(0, measure=True) for stage in (whole, parts))
    assert expected.keys() == found.keys()
    for key in ("losses/L1/l1", "losses/L2/l2", "losses/total", "weighted/L2/l2", "gradient/norm"):
        assert found[key] == pytest.approx(expected[key], rel=1e-9), key
