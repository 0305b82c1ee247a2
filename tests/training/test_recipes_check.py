"""A recipe is checked in one pass, built and opened once, and what was made of it is said at the end."""

from __future__ import annotations

import logging
import shutil
from importlib.metadata import version

import PIL.Image
import pytest
import torch

from sr_kd.cli.main import main
from sr_kd.distributed import World
from sr_kd.errors import SrKdError, UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network
from sr_kd.recipes import networks as recipe_networks
from sr_kd.recipes.check import check_file, check_recipe, check_training_file
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.report import describe_arms
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.recipes.summary import describe_recipe
from sr_kd.recipes.workspace import finished_arms
from sr_kd.tasks.super_resolution import data as super_resolution_data

WORLD = World(0, 1, torch.device("cpu"))
SHORT = {"phases__teacher__total_iter": 2, "phases__student__total_iter": 2}
MISTAKES = """\
name: mistakes
scale: 2
seeds: [0, 0]
datasets:
  train: {dataroot_gt: "scikit-image:train", gt_size: 49, use_hflipp: true}
  val: {dataroot_gt: /nowhere/Set5}
networks:
  teacher: {type: PrivilegedTeacher, encoder: {type: Hourglass}, decoder: {type: FSRCNN, widht: 3}}
  student: {type: FSRCNN, d: 1.5, s: x}
phases:
  teacher: {trains: teacher, total_iter: abc, losses: [{type: L1}, {type: Imitaton}]}
  student:
    trains: studnt
    needs: [teacher]
    total_iter: -3
    optim: {typ: Adam, lr: -1}
    losses: [{type: L1, weight: x}, {type: CrossEntropy}]
val: {val_freq: 0, metrics: [psnrr]}
"""


def test_every_mistake_comes_in_one_report_in_the_order_of_the_file(tmp_path):
    (tmp_path / "options.yml").write_text(MISTAKES)
    with pytest.raises(UsageError) as caught:
        check_file(tmp_path / "options.yml")
    first, *lines = str(caught.value).splitlines()
    found = [line.removeprefix(f"{tmp_path / 'options.yml'}:") for line in lines]
    expected = [
        ("3", "seeds", "must be distinct numbers"),
        ("5", "datasets.train.gt_size", "is 49, no multiple of the scale 2; try 48"),
        ("5", "datasets.train.use_hflipp", "is unknown (did you mean 'use_hflip'?); allowed: batch_size_per_gpu"),
        ("6", "datasets.val", "cannot be used: no folder /nowhere/Set5"),
        ("8", "networks.teacher.decoder.widht", "is refused: network FSRCNN has no option 'widht'"),
        ("9", "networks.student.d", "is refused: network FSRCNN, option 'd': Input should be a valid integer"),
        ("9", "networks.student.s", "is refused: network FSRCNN, option 's'"),
        ("11", "phases.teacher.total_iter", "must be a number, or a sum such as 'teacher + 1000'"),
        ("11", "phases.teacher.losses[1].type", "names no loss: 'Imitaton' (did you mean 'Imitation'?); known: AT"),
        (
            "13",
            "phases.student.trains",
            "names no network: 'studnt' (did you mean 'student'?); known: teacher",
        ),
        ("15", "phases.student.total_iter", "must be greater than 0 or text; found -3"),
        ("16", "phases.student.optim.typ", "is unknown (did you mean 'type'?)"),
        ("16", "phases.student.optim.lr", "must be greater than 0.0; found -1"),
        ("17", "phases.student.losses[0].weight", "must be a number or a mapping; found 'x'"),
        ("17", "phases.student.losses[1].type", "is 'CrossEntropy': it is for 'task: classification'; losses for"),
        ("18", "val.val_freq", "must be greater than 0; found 0"),
        ("18", "val.metrics[0]", "is refused: unknown metric 'psnrr' (did you mean 'psnr'?)"),
    ]
    for line, key, text in expected:
        assert any(each.startswith(f"{line}: key '{key}' {text}") for each in found), (key, found)
    assert first == f"{len(expected)} problems"


@pytest.mark.parametrize("scale", [2, 4])
def test_a_trained_teacher_for_another_scale_is_refused_with_both(write_recipe, tmp_path, scale):
    save_network(tmp_path / "teacher.pth", build_network("FSRCNN", scale=scale))
    path = write_recipe(
        networks__good={"type": "FSRCNN", "path": str(tmp_path / "teacher.pth")},
        phases__student={"trains": "student", "total_iter": 2, "losses": [{"type": "L1"}, {"type": "Response"}]},
    )
    if scale == 2:
        check_training_file(path)
        return
    with pytest.raises(UsageError, match=r"holds a network for x4, which cannot teach student: .* scale is x2"):
        check_training_file(path)


def test_the_run_uses_what_the_check_built(write_recipe, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "sr_kd")
    built, opened = [], []
    for module, name, calls in (
        (recipe_networks, "build_network_from", built),
        (super_resolution_data, "open_set", opened),
    ):
        real = getattr(module, name)

        def counted(*arguments, real=real, calls=calls, **options):
            calls.append(arguments)
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
    checked = check_training_file(write_recipe(**SHORT))
    assert (len(built), len(opened)) == (2, 2)
    first = checked.network("student").state_dict()
    kept = {key: value.clone() for key, value in first.items()}
    workspace = run_recipe(checked, WORLD)
    assert (len(built), len(opened)) == (2, 2)
    assert "student" not in checked.losses  # trained in place
    assert all(torch.equal(value, kept[key]) for key, value in checked.network("student").state_dict().items())
    (line,) = describe_arms(finished_arms(workspace))
    assert line.startswith("student, seed 0: val psnr ")
    assert line.endswith("models/net_g_latest.pth")
    log = workspace.log.read_text()
    assert f"torch {version('torch')}" in log
    assert "1 process(es) on cpu" in log
    assert "gt_size: 32" in log
    assert f"{torch.get_num_threads()} threads of" in log


def test_the_number_of_images_of_every_set_is_told(write_recipe):
    lines = describe_recipe(check_training_file(write_recipe()))
    assert any("train on" in line and "(4 images)" in line for line in lines)
    assert "  validate on val (2 images), rgb8" in lines


def test_a_damaged_validation_image_ends_the_run_before_its_first_iteration(
    write_recipe, photographs, tmp_path, capsys
):
    shutil.copytree(photographs / "val", tmp_path / "val")
    file = tmp_path / "val" / "coffee.png"
    path = write_recipe(**SHORT, datasets__val={"dataroot_gt": str(tmp_path / "val")})
    whole = file.read_bytes()
    file.write_bytes(whole[:-2000])
    with pytest.raises(UsageError, match=r"datasets\.val'? cannot be used: cannot read .*coffee\.png"):
        check_training_file(path)
    file.write_bytes(whole[:5000] + bytes(2000) + whole[7000:])
    assert main(["check", "-opt", str(path)]) == 1
    assert "coffee.png" in capsys.readouterr().err
    with pytest.raises(SrKdError, match=r"coffee\.png"):
        run_recipe(check_training_file(path), WORLD)
    assert not list(tmp_path.rglob("*.state"))


SETS = {
    "sides that are no multiples": ("RGB", 101, 4),
    "gray": ("L", 96, 4),
    "fewer than a batch": ("RGB", 96, 1),
    "mixed": (None, 96, 4),
}


@pytest.mark.parametrize("color", ["y", "rgb"])
@pytest.mark.parametrize("kind", SETS)
def test_sets_as_people_have_them_are_trained_on(write_recipe, photographs, tmp_path, kind, color):
    mode, side, count = SETS[kind]
    folder = tmp_path / "own"
    folder.mkdir()
    with PIL.Image.open(photographs / "val" / "coffee.png") as opened:
        whole = opened.resize((side + 1, side))
    for index, each in enumerate(["RGBA", "P", "I;16", "CMYK"][:count]):
        image = whole.convert("L").convert("I;16") if (mode or each) == "I;16" else whole.convert(mode or each)
        image.save(folder / f"{index}.{'tif' if image.mode == 'CMYK' else 'png'}")
    student = {"trains": "student", "total_iter": 2, "losses": [{"type": "L1"}]}
    sets = {"train": {"dataroot_gt": str(folder), "gt_size": 33, "batch_size_per_gpu": 2}}
    networks = {"student": {"type": "FSRCNN", "color": color, "d": 6, "s": 3, "m": 1}}
    path = write_recipe(scale=3, datasets=sets, networks=networks, phases={"student": student})
    workspace = run_recipe(check_training_file(path), WORLD)
    assert workspace.result("student", 0)["iterations"] == 2


def test_a_validation_image_too_small_for_a_metric_is_found_by_the_check(write_recipe, photographs, tmp_path):
    shutil.copytree(photographs / "val", tmp_path / "val")
    with PIL.Image.open(tmp_path / "val" / "coffee.png") as opened:
        opened.crop((0, 0, 40, 14)).save(tmp_path / "val" / "tiny.png")
    val = {"dataroot_gt": str(tmp_path / "val")}
    with pytest.raises(UsageError, match=r"datasets\.val'? cannot be used: tiny \(40x14\) is too small.*for SSIM"):
        check_training_file(write_recipe(**SHORT, datasets__val=val))
    check_training_file(write_recipe(**SHORT, datasets__val=val, val__metrics=["psnr"]))


def test_images_added_to_the_set_are_pointed_out_when_a_run_goes_on(write_recipe, photographs, tmp_path, caplog):
    shutil.copytree(photographs / "train", tmp_path / "train")
    path = write_recipe(**SHORT, datasets__train__dataroot_gt=str(tmp_path / "train"))
    with caplog.at_level(logging.WARNING, "sr_kd"):
        run_recipe(check_training_file(path), WORLD)
        run_recipe(check_training_file(path), WORLD, RunOptions(resume=True))
        assert "training images" not in caplog.text
        shutil.copy(photographs / "val" / "coffee.png", tmp_path / "train")
        run_recipe(check_training_file(path), WORLD, RunOptions(resume=True))
    assert "the training images are not those that" in caplog.text
    assert "'coffee 96x80" in caplog.text


def test_a_recipe_made_in_python_is_checked_too(write_recipe):
    recipe = load_recipe(write_recipe())
    wrong = recipe.model_copy(update={"seeds": []})
    with pytest.raises(UsageError, match="key 'seeds' must be distinct numbers"):
        check_recipe(wrong)
