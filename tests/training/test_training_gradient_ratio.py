"""Losses weighted by their gradient_ratio: the measured gradient ratio is what was asked for."""

import math
import re
import statistics
from pathlib import Path

import pytest
import torch

from sr_kd.cli.main import main
from sr_kd.training.gradient_ratio import EVERY, GradientRatios


def test_a_weight_is_the_gradient_ratio_over_the_measured_strength():
    gradient_ratios = GradientRatios({"VID/vid": 0.1})
    assert float(gradient_ratios.weight("VID/vid")) == 0
    gradient_ratios.follow(torch.tensor([2.0, 10.0]))
    assert float(gradient_ratios.weight("VID/vid")) == pytest.approx(0.1 / 5)
    for _ in range(60):
        gradient_ratios.follow(torch.tensor([2.0, 40.0]))
    assert float(gradient_ratios.weight("VID/vid")) == pytest.approx(0.1 / 20, rel=1e-5)


@pytest.mark.parametrize("norms", [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_a_measurement_that_says_nothing_changes_nothing(norms):
    gradient_ratios = GradientRatios({"VID/vid": 0.1})
    gradient_ratios.follow(torch.tensor(norms))
    assert float(gradient_ratios.weight("VID/vid")) == 0
    gradient_ratios.follow(torch.tensor([1.0, 1.0]))
    gradient_ratios.follow(torch.tensor(norms))
    assert float(gradient_ratios.weight("VID/vid")) == pytest.approx(0.1)


LOSSES = [
    {"type": "L1"},
    {"type": "VID", "gradient_ratio": 0.2, "taps": ["expanding"]},
    {"type": "IEKD", "gradient_ratio": 0.4, "taps": ["mapping"], "pretrain_iter": 3},
]


def _log(tmp_path: Path) -> str:
    return next(tmp_path.rglob("train_tiny.log")).read_text()


def test_the_gradients_in_the_log_have_the_ratio_asked_for(write_recipe, tmp_path):
    path = write_recipe(
        phases__student__losses=LOSSES,
        phases__student__total_iter=18 * EVERY,
        logger={"print_freq": 3, "save_checkpoint_freq": 1000},
    )
    assert main(["train", "-opt", str(path), "--quiet", "--device", "cpu"]) == 0
    for term, gradient_ratio in (("VID/vid", 0.2), ("IEKD/inherit", 0.2), ("IEKD/explore", 0.2)):
        found = [float(value) for value in re.findall(rf"gradient_ratio/{term}=(\S+)", _log(tmp_path))]
        assert gradient_ratio / 3 < statistics.median(found) < gradient_ratio * 3, (term, found)


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        (
            [{"type": "Response", "gradient_ratio": 0.1}, {"type": "L1"}],
            "losses[0].gradient_ratio' must be left out: it is a fraction of the first loss' own gradient",
        ),
        (
            [{"type": "L1", "weight": 0}, {"type": "Response", "gradient_ratio": 0.1}],
            "losses[0].weight' is 0, and another loss has a gradient_ratio",
        ),
        (
            [{"type": "L1"}, {"type": "Response", "weight": 1, "gradient_ratio": 0.1}],
            "either 'weight' or 'gradient_ratio'",
        ),
        ([{"type": "L1"}, {"type": "Response", "gradient_ratio": 0}], "losses[1].gradient_ratio' must be"),
    ],
)
def test_a_gradient_ratio_needs_a_loss_to_be_compared_with_and_no_weight(write_recipe, capsys, losses, sentence):
    path = write_recipe(phases__student__losses=losses)
    assert main(["train", "-opt", str(path), "--quiet"]) == 2
    assert sentence in capsys.readouterr().err


UNDECLARED = """
from sr_kd.losses import LOSSES, Loss

class Undeclared(Loss):
    terms = ("known",)

    def forward(self, inputs):
        error = (inputs.trained.output - inputs.hr).abs().mean()
        return {"known": error, "unknown": error}

def register():
    LOSSES.register("Undeclared", Undeclared)
"""


def test_a_term_that_a_loss_does_not_declare_has_no_gradient_ratio(write_recipe, tmp_path, capsys):
    (tmp_path / "undeclared.py").write_text(UNDECLARED)
    losses = [{"type": "L1"}, {"type": "Undeclared", "gradient_ratio": 0.1}]
    path = write_recipe(plugins=[str(tmp_path / "undeclared.py")], phases__student__losses=losses)
    assert main(["train", "-opt", str(path), "--quiet", "--device", "cpu"]) == 2
    assert "loss Undeclared returns the term 'unknown', which its 'terms' do not name" in capsys.readouterr().err


def test_a_term_with_a_sudden_gradient_is_not_waited_for():
    gradient_ratios = GradientRatios({"VID/vid": 0.1})
    gradient_ratios.follow(torch.tensor([1.0, 1e-9]))
    gradient_ratios.follow(torch.tensor([1.0, 1.0]))
    assert float(gradient_ratios.weight("VID/vid")) == pytest.approx(1.0)


def test_cuda_graphs_cannot_accumulate(write_recipe, capsys):
    path = write_recipe(phases__student__compile="reduce-overhead", phases__student__accumulate=2)
    assert main(["train", "-opt", str(path), "--quiet"]) == 2
    assert "whose CUDA graphs cannot accumulate" in capsys.readouterr().err
