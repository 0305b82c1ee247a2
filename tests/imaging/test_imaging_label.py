"""A teacher's labels: equal to what it gives by `upscale`, resumable, refused where they do not fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from sr_kd.data.sets import open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.files import claim
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.label import make_labels, plan_labels
from sr_kd.imaging.load import load_model
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five cuttings of photographs: four colored ones and a gray one."""
    folder = tmp_path / "photos"
    for index, image in enumerate([data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), data.camera()]):
        pixels = np.atleast_3d(image[40:120, 60 : 150 + index])
        write_image(folder / f"photo_{index}.png", Image(np.ascontiguousarray(pixels)))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_labels_are_what_the_teacher_upscales(photos: Path, tmp_path: Path) -> None:
    labeling = plan_labels("fsrcnn_x2", str(photos), tmp_path / "labels", device="cpu")
    assert {outcome.status for outcome in make_labels(labeling, quiet=True)} == {"done"}
    model = load_model("fsrcnn_x2", device="cpu")
    for path in photos.iterdir():
        label = read_image(tmp_path / "labels" / path.name).pixels
        assert np.array_equal(label, model.upscale(read_image(path)).pixels)
    images = open_set(str(tmp_path / "labels"), dataroot_lq=str(photos), scale=2)
    pair = images.read(0)
    assert (len(images), pair.hr.shape, pair.lr.shape) == (5, (160, 180, 3), (80, 90, 3))


def test_a_killed_run_goes_on_and_does_nothing_twice(photos: Path, tmp_path: Path, run_cli, start_cli) -> None:
    for number in range(5, 60):
        shutil.copy(photos / "photo_0.png", photos / f"photo_{number}.png")
    command = ("label", "-n", "fsrcnn_x2", "-i", photos, "-o", tmp_path / "killed", "--quiet", "--device", "cpu")
    process = start_cli(*command)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "killed").glob("photo*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("photo*.png")}
    assert 3 <= len(done) < 60
    finished = run_cli(*command)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    whole = run_cli(*command[:-4], tmp_path / "whole", *command[-3:])
    assert whole.returncode == 0, whole.stderr
    visible = {name: data for name, data in contents(tmp_path / "killed").items() if not name.startswith(".")}
    assert visible == contents(tmp_path / "whole")
    again = run_cli(*command[:-3], "--device", "cpu")
    assert "nothing to do" in again.stdout


@pytest.mark.skipif(os.name == "nt", reason="system: no locks")
def test_a_second_process_at_the_same_labels_is_told_so(photos: Path, tmp_path: Path) -> None:
    """Also before the first has written its record; and what a process that was killed then left is no hindrance."""
    labels = tmp_path / "labels"
    with claim(labels / "labels.json"):
        second = plan_labels("fsrcnn_x2", str(photos), labels, device="cpu")
        with pytest.raises(SrKdError, match=r"another process is labeling into .*labels: wait for it"):
            make_labels(second, quiet=True)
    assert list(labels.iterdir()) == []
    (labels / ".labels.sr_kd-abcdefgh.json").touch()
    make_labels(plan_labels("fsrcnn_x2", str(photos), labels, device="cpu"), quiet=True)
    assert len(list(labels.glob("photo_*.png"))) == 5


def test_an_image_that_has_changed_is_labeled_anew(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "labels"
    make_labels(plan_labels("fsrcnn_x2", str(photos), cache, device="cpu"), quiet=True)
    before = contents(cache)
    write_image(photos / "photo_1.png", Image(np.full((40, 40, 3), 90, np.uint8)))
    write_image(photos / "new.png", Image(np.full((40, 40, 3), 90, np.uint8)))
    with pytest.raises(UsageError, match=r"have no label in .*new.png: run sr-kd label -n fsrcnn_x2.safetensors"):
        open_set(str(cache), dataroot_lq=str(photos), scale=2)
    (photos / "new.png").unlink()
    with pytest.raises(UsageError, match=r"photo_1\.png was changed since it was labeled"):
        open_set(str(cache), dataroot_lq=str(photos), scale=2)
    labeling = plan_labels("fsrcnn_x2", str(photos), cache, device="cpu")
    assert [job.source.name for job in labeling.missing] == ["photo_1.png"]
    make_labels(labeling, quiet=True)
    after = contents(cache)
    assert {name for name in after if after[name] != before[name]} == {"photo_1.png", "labels.json"}
    assert open_set(str(cache), dataroot_lq=str(photos), scale=2).read(1).hr.shape == (80, 80, 3)


def test_labels_are_trained_on_only_with_their_images(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "labels"
    make_labels(plan_labels("fsrcnn_x2", str(photos), cache, device="cpu"), quiet=True)
    with pytest.raises(UsageError, match="name the images it saw as dataroot_lq"):
        open_set(str(cache), scale=2)
    with pytest.raises(UsageError, match="x2 of their images, and the scale is 3"):
        open_set(str(cache), dataroot_lq=str(photos), scale=3)
    (cache / "labels.json").write_text("{")
    with pytest.raises(SrKdError, match=r"labels.json is damaged"):
        open_set(str(cache), dataroot_lq=str(photos), scale=2)


@pytest.mark.parametrize(
    ("teacher", "problem"),
    [
        ("bicubic", "is an interpolation"),
        ("fsrcnn_x9", "no model and no file"),
        ("photos/photo_0.png", "not a weights file"),
        ("multi.pth", r"serves x2, x3, x4: choose one with -s"),
        ("classifier.pth", "holds no super-resolution network"),
        ("fsrcnn_x3", "are of another teacher"),
    ],
)
def test_a_teacher_that_cannot_teach(photos: Path, tmp_path: Path, monkeypatch, teacher: str, problem: str) -> None:
    monkeypatch.chdir(tmp_path)
    save_network("multi.pth", build_network("CARN", scales=[2, 3, 4], variant="mobile"))
    save_network("classifier.pth", build_network("ResNet", classes=10, channels=1))
    make_labels(plan_labels("fsrcnn_x2", "photos", Path("labels"), device="cpu"), quiet=True)
    before = contents(Path("labels"))
    with pytest.raises(SrKdError, match=problem):
        plan_labels(teacher, "photos", Path("labels"), device="cpu")
    assert contents(Path("labels")) == before


def test_bad_images_and_folders(photos: Path, tmp_path: Path, run_cli) -> None:
    with pytest.raises(UsageError, match="the folder of the images themselves"):
        plan_labels("fsrcnn_x2", str(photos), photos)
    with pytest.raises(UsageError, match="holds other files, and no labels"):
        plan_labels("fsrcnn_x2", str(photos), tmp_path)
    write_image(photos / "tiny.png", Image(np.zeros((9, 40, 3), np.uint8)))
    with pytest.raises(UsageError, match=r"1 of 6 images are too small .*tiny.png"):
        plan_labels("fsrcnn_x2", str(photos), tmp_path / "labels")
    (photos / "tiny.png").unlink()
    broken = (photos / "photo_2.png").read_bytes()
    (photos / "photo_2.png").write_bytes(broken[: len(broken) // 2])
    finished = run_cli("label", "-n", "fsrcnn_x2", "-i", photos, "-o", tmp_path / "labels", "--quiet")
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert "photo_2.png" in finished.stderr
    assert len(list((tmp_path / "labels").glob("*.png"))) == 4, "one bad image stops no other"


def test_values_that_are_no_numbers_are_no_labels(photos: Path, tmp_path: Path) -> None:
    network = build_network("FSRCNN", scale=2)
    with torch.no_grad():
        network.last_layer.weight.fill_(3e38)  # finite weights, infinite results
    save_network(tmp_path / "wild.pth", network)
    outcomes = make_labels(plan_labels(tmp_path / "wild.pth", str(photos), tmp_path / "labels"), quiet=True)
    assert all("holds NaN or Inf" in (outcome.error or "") for outcome in outcomes)
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["labels.json"]


def test_half_precision_that_overflows_goes_on_in_full(photos: Path, tmp_path: Path, caplog) -> None:
    network = build_network("FSRCNN", scale=2)
    with torch.no_grad():
        network.expanding[0].weight.mul_(1e9)
        network.last_layer.weight.mul_(1e-9)
    save_network(tmp_path / "large.pth", network)
    half, full = (
        plan_labels(tmp_path / "large.pth", str(photos), tmp_path / precision, precision=precision, device="cpu")
        for precision in ("fp16", "fp32")
    )
    for labeling in (half, full):
        assert {outcome.status for outcome in make_labels(labeling, quiet=True)} == {"done"}
    assert "float16 gave values that are not finite: going on in fp32" in caplog.text
    labels = [
        {name: data for name, data in contents(tmp_path / each).items() if "png" in name} for each in ("fp16", "fp32")
    ]
    assert labels[0] == labels[1]


def test_a_full_disk_is_told_once(photos: Path, tmp_path: Path, repository: Path, run_cli) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from sr_kd import files\n"
        "def full(handle): raise OSError(28, os.strerror(28))\n"
        "count = iter(range(3))\n"
        "real = os.fsync\n"
        "os.fsync = lambda handle: real(handle) if next(count, None) is not None else full(handle)\n"
        "from sr_kd.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "label", "-n", "fsrcnn_x2", "-i", photos, "-o", tmp_path / "labels"]
    finished = subprocess.run(
        [*map(str, command), "--quiet"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "No space left on device; make room and run the same command again" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert len(list((tmp_path / "labels").glob("photo*.png"))) == 2  # the third file is labels.json
    assert run_cli("label", "-n", "fsrcnn_x2", "-i", photos, "-o", tmp_path / "labels", "--quiet").returncode == 0
    assert len(json.loads((tmp_path / "labels" / "labels.json").read_text())["images"]) == 5
