"""The shipped option files of the distillation losses: one per loss, and the comparison of them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_kd.config.phase import Optimizer, Phase
from sr_kd.losses import LOSSES
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe

FOLDER = Path(__file__).parents[2] / "options" / "train" / "kd"
FILES = sorted(FOLDER.glob("*_x2.yml"))
FOR_IMAGES = set(LOSSES.names()) - {"L1", "L2", "Charbonnier", "Imitation", "CrossEntropy", "SoftLabel", "Detection"}


def losses_in(recipe) -> set[str]:
    return {options.type for phase in recipe.phases.values() for options in phase.losses}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_passes_the_check(file):
    recipe = load_recipe(file)
    check_recipe(recipe)
    assert recipe.name == f"kd_{file.stem}"
    alone = [name for name, phase in recipe.phases.items() if [loss.type for loss in phase.losses] == ["L1"]]
    assert set(alone) & set(recipe.arms.values()), "no arm shows the network without distillation"
    assert f"-opt options/train/kd/{file.name}" in file.read_text()


def test_every_loss_has_its_file_and_its_arm():
    singles = set().union(*(losses_in(load_recipe(file)) for file in FILES if file.stem != "compare_x2"))
    compared = load_recipe(FOLDER / "compare_x2.yml")
    assert singles >= FOR_IMAGES and losses_in(compared) >= FOR_IMAGES - {"Adversarial"}  # a phase of its own
    assert set(compared.phases) - {"foundation", "teacher"} == set(compared.arms.values())


def test_the_comparison_uses_the_same_weights_as_the_single_files():
    def weights(phase: Phase) -> tuple[list[tuple[object, ...]], Optimizer]:
        return [(loss.type, loss.weight, loss.gradient_ratio, loss.options) for loss in phase.losses], phase.optim

    arms = [weights(phase) for phase in load_recipe(FOLDER / "compare_x2.yml").phases.values()]
    kinds = [[loss[0] for loss in losses] for losses, _ in arms]
    for file in FILES:
        phases = load_recipe(file).phases
        for phase in phases.values() if "teacher" in phases else ():
            if [loss.type for loss in phase.losses] in kinds:
                assert weights(phase) in arms, file.name


def test_debugging_shortens_the_pretraining_too():
    recipe = load_recipe(FOLDER / "ft_fsrcnn_x2.yml", debug=True)
    (loss,) = (options for options in recipe.phases["student"].losses if options.type == "FT")
    assert loss.options["pretrain_iter"] == 8 and loss.options["k"] == 0.5
