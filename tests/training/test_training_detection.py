"""The detection task: its batches, its average precision, runs with every kind of loss, its report, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from shapes import CPU, run, shapes_options, shapes_recipe

from sr_kd.distributed import World
from sr_kd.errors import UsageError
from sr_kd.losses.base import LossInputs, NetworkOutput
from sr_kd.losses.build import build_loss
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.report import write_report
from sr_kd.tasks.detection.shapes import make_shapes
from sr_kd.tasks.detection.task import VALIDATION_BATCH, DetectionTask

LOSSES = {
    "Feature": {"taps": ["level1", "level2"]},
    "AT": {"taps": ["stage1", "stage2", "stage3"]},
    "NST": {"taps": ["stage3"]},
    "FT": {"taps": ["stage3"], "pretrain_iter": 2},
    "IEKD": {"taps": ["stage3"], "pretrain_iter": 2},
    "Hint": {"taps": [{"student": "stage2", "teacher": "level1"}]},
    "VID": {"taps": ["level1"], "weight": 0.1},
    "OriginalVID": {"taps": ["stage3"], "init_pred_var": "teacher"},
    "Affinity": {"taps": ["stage3"]},
}
PHASE = {"teacher": {"trains": "teacher"}}


@pytest.fixture(scope="module")
def images():
    return make_shapes("train", 10, 64)


def task(images, batch_size=8, world=CPU, **options):
    options = {"hflip": True, "seed": 3, "stream": "student"} | options
    return DetectionTask(images, [images], batch_size=batch_size, world=world, **options)


def test_a_batch_holds_images_and_their_mirror_images_with_boxes_that_fit(images):
    batch = task(images, 40).batch(7)
    mirrored = set()
    for image, objects in zip(batch.lr, batch.labels, strict=True):
        pixels = np.rint(image.permute(1, 2, 0).numpy() * 255)
        straight = [k for k, other in enumerate(images.images) if np.array_equal(pixels, other)]
        turned = [k for k, other in enumerate(images.images) if np.array_equal(pixels, other[:, ::-1])]
        (index,), flipped = straight + turned, bool(turned)
        mirrored.add(flipped)
        boxes = images.boxes[index]
        left, right = (64 - boxes[:, 2], 64 - boxes[:, 0]) if flipped else (boxes[:, 0], boxes[:, 2])
        expected = np.stack([left, boxes[:, 1], right, boxes[:, 3]], axis=1)
        assert np.array_equal(objects["boxes"].numpy(), expected)
        assert np.array_equal(objects["labels"].numpy(), images.labels[index])
    assert mirrored == {True, False}


def test_batches_are_a_pure_function_and_shared_out_over_processes(images):
    whole = task(images).batch(5)
    again = task(images)
    again.batch(0)
    assert torch.equal(again.batch(5).lr, whole.lr)
    shares = [task(images, world=World(rank, 2, CPU.device)).batch(5) for rank in range(2)]
    assert torch.equal(torch.cat([share.lr for share in shares]), whole.lr)
    boxes = [objects["boxes"] for share in shares for objects in share.labels]
    assert all(torch.equal(one, objects["boxes"]) for one, objects in zip(boxes, whole.labels, strict=True))


def test_features_are_those_of_the_pass_that_gives_the_losses(images):
    network = build_network("FCOS", classes=3, width=4, pyramid=8).train()
    batch = task(images).batch(0)
    taps = ["stage1", "level2", "stage3", "stage2", "level1"]
    with torch.no_grad():
        losses, seen = network.losses(batch.lr, batch.labels, taps)
        _, alone = network.features(batch.lr, taps)
    assert set(losses) == {"classification", "box", "center"}
    assert set(seen) == set(alone) == set(taps)
    for name, tap in network.taps.items():
        assert seen[name].shape == (8, tap.channels, 64 / tap.stride, 64 / tap.stride)
        assert torch.equal(seen[name], alone[name])


def test_images_of_any_size_are_detected_at_their_own_scale(images):
    """A box's middle stays where it is when the image is put into a larger one."""
    torch.manual_seed(0)
    network = build_network("FCOS", classes=3, width=4, pyramid=8).eval()
    small = torch.from_numpy(images.images[:1]).permute(0, 3, 1, 2).float() / 255
    large = torch.nn.functional.pad(small, (0, 32, 0, 32), value=0.5)
    with torch.no_grad():
        for image in (small, large):
            boxes = network(image)[0]["boxes"]
            assert len(boxes) and boxes.min() >= 0 and boxes.max() <= image.shape[-1]
        maps = [network.features(image, ["stage1"])[1]["stage1"] for image in (small, large)]
    torch.testing.assert_close(maps[0][..., :28, :28], maps[1][..., :28, :28])


def test_every_loss_trains_and_the_arms_are_compared(tmp_path):
    students = {
        name: {
            "trains": "student",
            "needs": ["teacher"],
            "total_iter": 2,
            "losses": [{"type": "Detection"}, {"type": name, **options}],
        }
        for name, options in LOSSES.items()
    }
    phases = {**PHASE, "alone": {"trains": "student", "total_iter": 2}, **students}
    arms = {"alone": "alone", **{name: name for name in LOSSES}}
    recipe = shapes_recipe(tmp_path, phases, arms=arms, baseline="alone", seeds=[0, 1])
    workspace = run(recipe)
    table, results = write_report(workspace, check_recipe(recipe).data, CPU.device, "the command")
    lines = [line for line in table.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    columns = ["model", "shapes mAP", "shapes mAP, minus alone", "shapes mAP50", "shapes mAP50, minus alone"]
    assert rows[0][:5] == columns
    assert [row[0] for row in rows[2:]] == ["alone", *LOSSES]
    assert "mAP50, average precision at IoU 0.5, in percent" in table.read_text()
    found = json.loads(results.read_text())
    assert found["metrics"] == ["map", "map50"]
    scores = workspace.result("AT", 1)["scores"]["shapes"]
    assert found["arms"]["AT"]["shapes mAP"][1] == scores["map"]
    files = [workspace.models(name, 1) / "net_g_latest.pth" for name in ("alone", *LOSSES)]
    ends = [load_network(file).network.detector.backbone.entry[0].weight.flatten() for file in files]
    assert len({tuple(end.tolist()) for end in ends}) == len(ends)  # every loss does something
    assert load_network(files[0]).network.arguments == {"classes": 3, "blocks": 1, "width": 4, "pyramid": 8}


def test_a_run_that_lost_its_end_ends_with_the_same_bits(tmp_path):
    recipe = shapes_recipe(tmp_path, PHASE, 6)
    workspace = run(recipe)
    file, states = workspace.models("teacher", 0) / "net_g_latest.pth", workspace.states("teacher", 0).folder
    first, scores = load_network(file).network.state_dict(), workspace.result("teacher", 0)["scores"]
    for lost in (file, states / "6.state", states / "finished.json"):
        lost.unlink()
    workspace = run(recipe, resume=True)
    again = load_network(file).network.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert workspace.result("teacher", 0)["scores"] == scores


def test_some_steps_improve_the_detectors_loss_and_its_boxes(images):
    torch.manual_seed(0)
    network = build_network("FCOS", classes=3, width=8, pyramid=16).train()
    detection = task(images, 8)
    assert detection.validate(network.eval())["shapes"]["map50"] < 1
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    values = []
    for index in range(60):
        batch = detection.batch(index)
        total = torch.stack(list(network.losses(batch.lr, batch.labels, [])[0].values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(float(total.detach()))
    assert np.mean(values[-10:]) < 0.6 * np.mean(values[:10])
    assert detection.validate(network.eval())["shapes"]["map50"] > 30


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    sets = {
        "train": {"dataroot": "sr_kd:shapes", "images": 12, "batch_size_per_gpu": 2},
        "val": {"dataroot": "sr_kd:shapes", "images": 2 * VALIDATION_BATCH + 7},  # three batches for two processes
    }
    hint = {"trains": "student", "needs": ["teacher"], "losses": [{"type": "Hint", "taps": ["stage2"]}]}
    phases = {"teacher": {"trains": "teacher", "total_iter": 30}, "hint": hint}
    options = shapes_options(tmp_path, phases, datasets=sets)
    file = tmp_path / "options.yml"
    file.write_text(yaml.safe_dump(options, sort_keys=False))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    result = subprocess.run(
        [sys.executable, *launcher, "-m", "sr_kd", "train", "-opt", str(file), "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    finished = tmp_path / "experiments_root" / "tiny" / "training_states" / "teacher" / "finished.json"
    network = load_network(tmp_path / "experiments_root" / "tiny" / "models" / "teacher" / "net_g_latest.pth").network
    whole = make_shapes("test", sets["val"]["images"], 64)
    expected = DetectionTask(whole, [whole], batch_size=1, hflip=False, seed=0, stream="", world=CPU).validate(network)
    assert json.loads(finished.read_text())["scores"] == expected
    assert expected["shapes"]["map50"] > 0


def student(*losses):
    return {**PHASE, "student": {"trains": "student", "needs": ["teacher"], "losses": list(losses)}}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"networks": {"teacher": {"type": "FSRCNN", "scale": 2}}}, "is 'FSRCNN': it is for 'task: super_resolution'"),
        ({"networks": {"teacher": {"type": "FCOS", "classes": 4}}}, "is 4; the shapes have 3: circle, square,"),
        ({"networks": {"teacher": {"type": "FCOS", "classes": 3, "init": "kaiming"}}}, "initialization of FCOS"),
        ({"networks": {"teacher": {"type": "FCOS", "classes": 3, "widht": 3}}}, "did you mean 'width'"),
        (
            {"phases": {"teacher": {"trains": "teacher", "losses": [{"type": "CrossEntropy"}]}}},
            "losses for detection: AT, Aff",
        ),
        (
            {"phases": student({"type": "SRRL", "taps": ["stage3"]})},
            "a detection has no outputs to compare",
        ),
        ({"phases": student({"type": "SoftLabel"})}, "is 'SoftLabel': it is for 'task: classification'"),
        ({"phases": student({"type": "Upcycling"})}, "is 'Upcycling': it is for 'task: super_res"),
        (
            {"phases": {"teacher": {"trains": "teacher", "losses": [{"type": "Imitation"}]}}},
            "is 'Imitation': it is",
        ),
        ({"phases": {"teacher": {"trains": "teacher", "compile": True}}}, "key 'phases.teacher.compile' is true"),
        ({"phases": student({"type": "AT", "taps": ["stage4"]})}, r"unknown tap of the FCOS 'stage4'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, text):
    with pytest.raises(UsageError, match=text):
        check_recipe(shapes_recipe(tmp_path, **{"phases": PHASE} | changes))


def test_other_tasks_refuse_a_detector_and_its_loss(tmp_path):
    options = shapes_options(tmp_path, PHASE)
    del options["datasets"]
    for others in (
        {"task": "super_resolution", "scale": 2, "datasets": {"train": {"dataroot_gt": "scikit-image:train"}}},
        {"task": "classification", "datasets": {"train": {"dataroot": str(tmp_path)}}},
    ):
        file = tmp_path / "options.yml"
        file.write_text(yaml.safe_dump(options | others))
        with pytest.raises(UsageError) as caught:
            check_recipe(load_recipe(file), data=False)
        text = str(caught.value)
        assert "is 'FCOS': it is for 'task: detection'" in text
        assert "is 'Detection': it is for 'task: detection'" in text


def test_the_detectors_loss_needs_a_detector():
    with pytest.raises(UsageError, match="needs a detector"):
        build_loss("Detection")(LossInputs(torch.zeros(1), torch.zeros(1), NetworkOutput(torch.zeros(1))))


def test_missing_packages_are_one_sentence_with_the_remedy(tmp_path, monkeypatch):
    recipe = shapes_recipe(tmp_path, PHASE)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "torchvision", None)
        without.setitem(sys.modules, "pycocotools", None)
        with pytest.raises(UsageError, match=r"needs torchvision, pycocotools: pip install 'sr_kd\[detection\]'$"):
            check_recipe(recipe)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UsageError, match="network FCOS needs torchvision"):
        build_network("FCOS", classes=3)
