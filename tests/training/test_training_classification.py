"""The classification task: its batches, its accuracy, a run with every kind of loss, its report, what is refused."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import PIL.Image
import pytest
import torch
from digits import CPU, digits_recipe, run

from sr_kd.distributed import World
from sr_kd.errors import UsageError
from sr_kd.networks.files import load_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.report import write_report
from sr_kd.tasks.classification.images import LabeledImages, open_labeled
from sr_kd.tasks.classification.resnet import ResNet
from sr_kd.tasks.classification.task import Classification
from sr_kd.tasks.last_scores import scores_table

LOSSES = {
    "SoftLabel": {},
    "AT": {"taps": ["stage2", "stage3"]},
    "NST": {"taps": ["stage3"]},
    "FT": {"taps": ["stage3"], "pretrain_iter": 2},
    "SRRL": {"taps": ["stage3"], "use_bn": True, "use_relu": True, "pool": "gap"},
    "IEKD": {"taps": ["stage3"], "pretrain_iter": 2},
    "Hint": {"taps": ["stage2", "pooled"]},
    "OriginalVID": {"taps": ["pooled"], "init_pred_var": "teacher"},
}


@pytest.fixture
def numbered():
    """Images whose pixels say which image they are, and where."""
    pixels = np.arange(5 * 6 * 6, dtype=np.uint8).reshape(5, 6, 6, 1) + 1
    return LabeledImages("numbered", pixels, np.arange(5), tuple("abcde"))


def task(images, batch_size=8, world=CPU, **options):
    options = {"shift": 0, "hflip": False, "seed": 3, "stream": "student"} | options
    return Classification(images, [images], batch_size=batch_size, world=world, **options)


def test_a_batch_holds_shifted_and_mirrored_images_with_their_labels(numbered):
    shift = 2
    batch = task(numbered, 64, shift=shift, hflip=True).batch(7)
    assert batch.lr.shape == (64, 1, 6, 6)
    padded = np.pad(numbered.images[..., 0], ((0, 0), (shift, shift), (shift, shift)))
    kinds = set()
    for image, label in zip(batch.lr[:, 0].numpy(), batch.labels.tolist(), strict=True):
        windows = {
            (top, left, flip): padded[label, top : top + 6, left : left + 6][:, :: -1 if flip else 1]
            for top in range(5)
            for left in range(5)
            for flip in (False, True)
        }
        found = [where for where, window in windows.items() if np.allclose(window / 255, image)]
        assert found, label
        kinds |= {found[0]}
    assert len(kinds) > 25  # of 50


def test_batches_are_a_pure_function_and_shared_out_over_processes(numbered):
    whole = task(numbered).batch(5)
    again = task(numbered)
    again.batch(0)
    assert torch.equal(again.batch(5).lr, whole.lr)
    shares = [task(numbered, world=World(rank, 2, CPU.device)).batch(5) for rank in range(2)]
    assert torch.equal(torch.cat([share.lr for share in shares]), whole.lr)
    assert torch.equal(torch.cat([share.labels for share in shares]), whole.labels)
    assert not torch.equal(task(numbered, stream="teacher").batch(5).lr, whole.lr)


def test_accuracy_against_counting():
    torch.manual_seed(0)
    images = open_labeled("scikit-learn:digits", "test")
    network = ResNet(classes=10, channels=1, blocks=1, width=4).eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(images.images[:, None, :, :, 0]).float() / 255)
    right = sum(int(row.argmax()) == label for row, label in zip(logits, images.labels, strict=True))
    assert task(images).validate(network) == {"digits": {"top1": pytest.approx(100 * right / 797)}}


def test_every_loss_trains_and_the_arms_are_compared(tmp_path):
    students = {
        name: {
            "trains": "student",
            "needs": ["teacher"],
            "total_iter": 2,
            "losses": [{"type": "CrossEntropy"}, {"type": name, **options}],
        }
        for name, options in LOSSES.items()
    }
    phases = {"teacher": {"trains": "teacher"}, "alone": {"trains": "student", "total_iter": 2}, **students}
    recipe = digits_recipe(tmp_path, phases, arms={"alone": "alone", **{name: name for name in LOSSES}}, seeds=[0, 1])
    workspace = run(recipe)
    table, results = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command")
    rows = [line.split("|")[1].strip() for line in table.read_text().splitlines() if line.startswith("|")]
    assert rows == ["model", "---", "alone", *LOSSES]
    found = json.loads(results.read_text())["arms"]
    assert found["AT"]["digits"][1] == workspace.result("AT", 1)["scores"]["digits"]["top1"]
    files = [workspace.models(name, 1) / "net_g_latest.pth" for name in ("alone", *LOSSES)]
    ends = [load_network(file).network.entry[0].weight.flatten() for file in files]
    assert len({tuple(end.tolist()) for end in ends}) == len(ends)  # every loss does something
    network = load_network(workspace.models("AT", 0) / "net_g_latest.pth").network
    assert network.arguments == {"classes": 10, "channels": 1, "blocks": 1, "width": 2}


@pytest.mark.slow
def test_a_teacher_learns_the_digits(tmp_path):
    recipe = digits_recipe(tmp_path, {"teacher": {"trains": "teacher", "optim": {"lr": 1e-2}}}, 120)
    assert run(recipe).result("teacher", 0)["scores"]["digits"]["top1"] > 60


def test_the_gain_is_taken_seed_by_seed():
    table = scores_table({"alone": {"digits": [80.0, 90.0]}, "AT": {"digits": [81.0, 92.0]}}, "alone")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    assert lines[0] == ["model", "digits", "digits, minus alone"]
    assert lines[2] == ["alone", "85.00 ± 7.07", ""]
    assert lines[3] == ["AT", "86.50 ± 7.78", "+1.50 (-4.85 to +7.85)"]  # t(1) = 12.706
    assert "Differences: 95 % t interval over the seeds." in table


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"networks": {"teacher": {"type": "FSRCNN", "scale": 2}}}, "is 'FSRCNN': it is for 'task: super_resolution'"),
        ({"networks": {"teacher": {"type": "ResNet", "classes": 9, "channels": 1}}}, "is for 9 classes"),
        ({"networks": {"teacher": {"type": "ResNet", "classes": 10}}}, "10 classes and 3 channels"),
        ({"phases": {"teacher": {"trains": "teacher", "losses": [{"type": "L1"}]}}}, "CrossEntropy"),
        ({"train": {"dataroot": "scikit-learn:digitz"}}, "did you mean"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, text):
    with pytest.raises(UsageError, match=text):
        check_recipe(digits_recipe(tmp_path, **{"phases": {"teacher": {"trains": "teacher"}}} | changes))


def test_class_folders_of_other_names_are_named(tmp_path):
    for part, classes in (("train", ("cat", "dog", "emu")), ("val", ("cat", "dog", "owl"))):
        for name in classes:
            (tmp_path / part / name).mkdir(parents=True)
            PIL.Image.new("L", (8, 8)).save(tmp_path / part / name / "0.png")
    recipe = digits_recipe(
        tmp_path,
        {"teacher": {"trains": "teacher"}},
        train={"dataroot": str(tmp_path / "train")},
        validation_sets=[{"dataroot": str(tmp_path / "val")}],
        networks={"teacher": {"type": "ResNet", "classes": 3, "channels": 1}},
    )
    with pytest.raises(UsageError, match="has the classes owl, where the training set has emu"):
        check_recipe(recipe)
    for part, form in (("train", "NFC"), ("val", "NFD")):
        (tmp_path / part / ("emu" if part == "train" else "owl")).rename(
            tmp_path / part / unicodedata.normalize(form, "é")
        )
    check_recipe(recipe)
