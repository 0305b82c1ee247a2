"""Every shipped option file: it loads, builds, says how to run it, and trains for a step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sr_kd.config.schema import TrainingRecipe
from sr_kd.data.embedded import embedded_files
from sr_kd.distributed import World
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe, parse_test, read_options
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.trial import trial

OPTIONS = Path(__file__).resolve().parents[2] / "options"
TRAINING = sorted(str(path.relative_to(OPTIONS)) for path in (OPTIONS / "train").rglob("*.yml"))
TESTS = sorted(str(path.relative_to(OPTIONS)) for path in (OPTIONS / "test").rglob("*.yml"))
IMAGES = ("datasets/", "scikit-image:", "scikit-learn:", "sr_kd:")


@pytest.fixture
def weights(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Overrides that let a file find the published weights that it names, if it does; else the test is skipped."""

    def found(file: str) -> list[str]:
        if file != "train/foreign/carn_m_x2.yml":
            return []
        return [f"networks:carn_m:path={request.getfixturevalue('shared') / 'weights/CARN-M/carn_m.npz'}"]

    return found


def skip_without_basicsr(recipe: TrainingRecipe, request: pytest.FixtureRequest) -> None:
    if any(network.type.startswith("basicsr.") for network in recipe.networks.values()):
        request.getfixturevalue("basicsr")


def test_there_are_option_files():
    assert len(TRAINING) >= 20
    assert len(TESTS) >= 6


@pytest.mark.parametrize("file", TRAINING)
def test_a_training_file_passes_every_check_but_its_images(file, caplog, weights, request):
    recipe = load_recipe(OPTIONS / file, weights(file))
    skip_without_basicsr(recipe, request)
    checked = check_recipe(recipe, data=False)
    used = {name for phase in recipe.phases.values() for name in (phase.trains, phase.partner)}
    used |= {phase.teacher for phase in recipe.phases.values() if phase.teacher in recipe.networks}
    assert set(checked.recipe.networks) == used - {None}  # nothing is left over
    sets = (recipe.train, *recipe.validation_sets)
    if recipe.task in ("classification", "detection"):
        roots = [images.dataroot for images in sets]
    else:
        roots = [root for images in sets for root in images.dataroot_gt]
    assert all(root.startswith(IMAGES) for root in roots)
    assert not caplog.records


@pytest.mark.parametrize("file", TESTS)
def test_a_test_file_loads(file):
    recipe = parse_test(read_options(OPTIONS / file))[0]
    assert recipe.models["bicubic"] == "bicubic"
    assert [images.name for images in recipe.sets] == ["Set5", "Set14", "B100", "Urban100"]


@pytest.mark.parametrize("file", [*TRAINING, *TESTS])
def test_a_file_begins_with_what_it_is_and_the_command_that_runs_it(file):
    lines = (OPTIONS / file).read_text(encoding="utf-8").splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert lines[: len(header)] == header
    command = "train" if file in TRAINING else "test"
    assert any(f"sr-kd {command} -opt options/{file}" in line for line in header)
    assert max(map(len, lines)) <= 120


def test_no_two_files_write_to_the_same_folder():
    names = [load_recipe(OPTIONS / file).name for file in TRAINING]
    names += [parse_test(read_options(OPTIONS / file))[0].name for file in TESTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_published_schedule_is_the_published_one(scale):
    """PISR's released configuration, epochs of 1,000 iterations."""
    recipe = load_recipe(OPTIONS / f"train/pisr/fsrcnn_x{scale}.yml")
    assert recipe.scale == scale
    assert (recipe.train.gt_size, recipe.train.batch_size_per_gpu) == (192, 16)
    assert (recipe.train.use_hflip, recipe.train.use_rot) == (True, True)
    assert [recipe.length(name) for name in ("teacher", "student")] == [1_000_000, 1_000_000]
    for phase in recipe.phases.values():
        assert (phase.optim.type, phase.optim.lr, phase.optim.betas) == ("Adam", 1e-3, (0.9, 0.999))
        assert (phase.scheduler.type, phase.scheduler.eta_min) == ("cosine", 1e-5)
    losses = {name: [(loss.type, loss.weight) for loss in phase.losses] for name, phase in recipe.phases.items()}
    assert losses == {"teacher": [("L1", 1.0), ("Imitation", 1e-4)], "student": [("L1", 1.0), ("VID", 1e-6)]}
    vid = recipe.phases["student"].losses[1]
    assert (vid.taps, vid.options) == (["expanding"], {"likelihood": "laplace", "scale": "pixel_and_channel"})
    assert recipe.phases["student"].init.part == "decoder"


def test_the_comparison_gives_every_arm_the_same_means():
    recipe = load_recipe(OPTIONS / "train/pisr/fsrcnn_x2_compare.yml")
    arms = {label: recipe.phases[phase] for label, phase in recipe.arms.items()}
    assert set(arms) == {"PISR", "warm_start_only", "baseline_student", "baseline_total"}
    steps = {label: recipe.length(phase) for label, phase in recipe.arms.items()}
    assert steps["baseline_total"] == recipe.length("teacher") + steps["PISR"]
    assert steps["baseline_student"] == steps["warm_start_only"] == steps["PISR"]
    first = arms["PISR"]
    for arm in arms.values():
        assert (arm.trains, arm.optim, arm.scheduler) == (first.trains, first.optim, first.scheduler)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> Path:
    """A folder with one of the embedded photographs."""
    folder = tmp_path_factory.mktemp("images")
    (file,) = (file for file in embedded_files("scikit-image:train") if file.name == "coins.png")
    shutil.copy(file, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("file", TRAINING)
def test_a_training_file_takes_a_step_in_every_phase(file, photograph, tmp_path, weights, request):
    train = f"{{dataroot_gt: {photograph}, gt_size: 24, batch_size_per_gpu: 1}}"
    if file.startswith("train/classification"):
        train = "{dataroot: 'scikit-learn:digits', batch_size_per_gpu: 4}"
    if file.startswith("train/detection"):
        train = "{dataroot: 'sr_kd:shapes', images: 8, batch_size_per_gpu: 2}"
    recipe = load_recipe(
        OPTIONS / file,
        [
            *weights(file),
            f"datasets={{train: {train}}}",
            "seeds=[0]",
            "logger={use_tb_logger: false}",
            f"path={{experiments_root: {tmp_path}, results_root: {tmp_path}, tb_root: {tmp_path}}}",
        ],
    )
    skip_without_basicsr(recipe, request)
    recipe = trial(recipe, 1)
    workspace = run_recipe(check_recipe(recipe), World(0, 1, torch.device("cpu")))
    for name, phase in recipe.phases.items():
        beforehand = [] if phase.partner else phase.losses  # a partner's auto-encoders train along
        pretrained = sum("pretrain_iter" in loss.options for loss in beforehand)
        assert workspace.result(name, 0)["iterations"] == 1 + pretrained
