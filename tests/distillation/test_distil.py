"""``sr-kd distil``: killed in each of its parts it ends with the same files; what cannot work is refused first."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

import sr_kd
from sr_kd.data.resize import make_lr
from sr_kd.distillation.answer import license_of
from sr_kd.distillation.clock import Clock
from sr_kd.distillation.inputs import degraded_middle, middle, write_images
from sr_kd.distillation.plan import Student, find_images, make_plan
from sr_kd.distillation.sizes import build_student, student_options
from sr_kd.distillation.student import affordable_iterations
from sr_kd.distillation.teacher import open_teacher
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.graph import trace, write_onnx
from sr_kd.imaging.label import load_teacher
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network
from sr_kd.recipes.load import load_recipe
from sr_kd.zoo.manifest import shipped_models

SMALL = {"a": Student("small", {"type": "FSRCNN"})}
SAME = ("*.safetensors", "*.onnx", "recipe.yml", "plan.json", "README.md", "labels/*/*", "images/*/*")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photographs and a tiny teacher with its license beside it."""
    folder = tmp_path_factory.mktemp("work")
    for index, image in enumerate([data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), data.camera()]):
        pixels = np.atleast_3d(image[40:130, 60 : 150 + index])
        write_image(folder / "photos" / f"photo_{index}.png", Image(np.ascontiguousarray(pixels)))
    network = build_network("FSRCNN", scale=2, color="rgb", d=24, m=2, skip="bicubic")
    network.initialize("bicubic")
    save_network(folder / "teacher" / "my_teacher.pth", network)
    (folder / "teacher" / "LICENSE").write_text("MIT License\n\nCopyright\n")
    (folder / "student.yml").write_text("{type: FSRCNN, d: 8, s: 4, m: 1, skip: bicubic, init: bicubic}\n")
    return folder


def command(work: Path, output: Path, *more: object) -> list[object]:
    teacher, size = work / "teacher" / "my_teacher.pth", work / "student.yml"
    options = ("--size", size, "--name", "tiny", "--iterations", 40, "--degrade", "--device", "cpu")
    return ["distil", "-n", teacher, "-i", work / "photos", "-o", output, *options, *more]


def made(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"OUTPUT")
        for pattern in SAME
        for path in sorted(folder.glob(pattern))
        if not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def whole(work: Path, run_cli) -> Path:
    """A distillation that nobody interrupted."""
    finished = run_cli(*command(work, work / "whole"), timeout=600)
    assert finished.returncode == 0, finished.stderr
    (work / "whole.txt").write_text(finished.stdout)
    return work / "whole"


def test_everything_is_made_and_said(work: Path, whole: Path) -> None:
    said = (work / "whole.txt").read_text()
    answer = json.loads((whole / "answer.json").read_text())
    assert answer["license"] == "MIT License"
    assert list(answer["closeness"]) == ["tiny", "bicubic", "shipped fsrcnn_x2"]
    assert answer["images"] == 2  # the held-out one and its degraded copy
    assert "times faster" in said
    assert "License of the teacher: MIT License" in said
    for name in ("tiny.safetensors", "tiny.onnx", "report.html", "README.md", "recipe.yml", "TEACHER_LICENSE.txt"):
        assert (whole / name).is_file()
        assert f"wrote {whole / name}" in said
    card = (whole / "README.md").read_text()
    assert "Distilled from my_teacher.pth" in card
    assert "that of the teacher: MIT License" in card
    assert "4 images and a degraded copy of each" in card
    assert re.search(r"PSNR to the teacher on 2 held-out images: tiny \d+\.\d\d dB, bicubic \d+\.\d\d dB", card)
    page = (whole / "report.html").read_text()
    own = answer["closeness"]["tiny"]["psnr"]
    assert "How close is the student to its teacher?" in page
    assert re.search(rf'<h2 class="verdict">{own:.2f} dB, [\d.]+ times faster</h2>', page)
    assert "on 2 held-out images" in page
    upscaled = sr_kd.load_model(whole / "tiny.safetensors").upscale(np.zeros((8, 8, 3), np.uint8))
    assert upscaled.shape == (16, 16, 3)


def test_the_recipe_is_read_as_any_other(whole: Path) -> None:
    recipe = load_recipe(whole / "recipe.yml")
    assert (recipe.name, recipe.scale, recipe.length("student")) == ("tiny", 2, 40)


def test_the_same_command_again_has_nothing_to_do(work: Path, whole: Path, run_cli) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    again = run_cli(*command(work, whole, "--quiet"))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == (work / "whole.txt").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}


def test_killed_in_each_part_it_ends_with_the_same_files(
    work: Path, whole: Path, tmp_path: Path, run_cli, start_cli
) -> None:
    output = tmp_path / "out"
    states = "experiments/tiny/training_states/student/20.state"
    for sign in ("images/train/*.png", "labels/train/*.png", states, "tiny.onnx"):
        process = start_cli(*command(work, output, "--quiet"))
        deadline = time.monotonic() + 300
        while not list(output.glob(sign)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        assert list(output.glob(sign))
        assert not (output / "answer.json").exists()
    finished = run_cli(*command(work, output, "--quiet"), timeout=600)
    assert (finished.returncode, finished.stderr) == (0, "")
    expected, found = made(whole), made(output)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_time_is_kept_by_a_last_phase_whose_length_is_planned_after_the_first(
    work: Path, tmp_path: Path, run_cli, start_cli
) -> None:
    teacher, size, output = work / "teacher" / "my_teacher.pth", work / "student.yml", tmp_path / "out"
    wanted = ["distil", "-n", teacher, "-i", work / "photos", "-o", output, "--size", size, "--name", "tiny"]
    wanted += ["--device", "cpu", "--time", "25s"]
    process = start_cli(*wanted, "--quiet")
    deadline = time.monotonic() + 300
    while not (output / "tiny.onnx").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()  # between the two phases, when the first student's files are written
    process.communicate()
    assert (output / "tiny.onnx").exists()
    spent = json.loads((output / "spent.json").read_text())
    assert 0 < spent["tiny"] < spent["all"] < 400
    (output / "spent.json").write_text(json.dumps(spent | {"all": 1000.0}))  # the time is over
    assert list(load_recipe(output / "recipe.yml").phases) == ["student"]
    first = output / "experiments" / "tiny" / "models" / "net_g_latest.pth"
    trained = first.read_bytes()
    finished = run_cli(*wanted, timeout=600)
    assert finished.returncode == 0, finished.stderr
    assert first.read_bytes() == trained
    recipe = load_recipe(output / "recipe.yml")
    assert list(recipe.phases) == ["student", "last"]
    steps, more = recipe.length("student"), recipe.length("last")
    assert more == max(1, steps // 5)
    assert recipe.val.val_freq == -(-more // 2)
    said = finished.stderr
    assert (
        said.index("its student written; tiny ") < said.index(f"{more} more iterations fit") < said.index("that took ")
    )
    assert re.search(r"that took 10\d\d s, 1000 of them before this call", said)
    assert (output / "experiments" / "tiny" / "models" / "last" / "net_g_latest.pth").is_file()
    assert (output / "answer.json").is_file()


def test_the_clock_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    with Clock(tmp_path, time.monotonic() - 50) as clock:
        assert (clock.before, clock.since("student")) == (0.0, 0.0)
    again = Clock(tmp_path, time.monotonic() - 7)
    assert 57 <= again.now() < 67
    assert 7 <= again.since("student") < 17
    (tmp_path / "spent.json").write_text('{"all": 3')
    assert Clock(tmp_path, time.monotonic()).before == 0.0


def test_a_dry_run_writes_nothing(work: Path, tmp_path: Path, run_cli) -> None:
    finished = run_cli(*command(work, tmp_path / "out", "--dry-run"), cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "my_teacher.pth x2 teaches on 4 images, 1 more are held out" in finished.stderr
    assert "and a degraded copy" in finished.stderr
    assert "tiny: about 40 iterations" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def distil(work: Path, output: Path, **options):
    teacher = options.pop("teacher", work / "teacher" / "my_teacher.pth")
    images = options.pop("images", work / "photos")
    return sr_kd.distil(teacher, images, output, **{"device": "cpu", "iterations": 40, **options})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": "smal"}, r"unknown size 'smal' \(did you mean 'small'\?\)"),
        ({"export": ["tflight"]}, r"unknown export format 'tflight' \(did you mean 'tflite'\?\)"),
        ({"export": ["onnx", "tflite"]}, r"needs litert-torch; run: pip install 'sr_kd\[tflite\]'"),
        ({"seconds": 60.0}, "a time or a number of iterations, not both"),
        ({"iterations": 0}, "0 iterations are impossible"),
        ({"name": "a/b"}, "--name 'a/b'"),
        ({"teacher": "bicubic"}, "is an interpolation"),
        ({"scale": 3}, "x3"),
    ],
)
def test_options_that_cannot_work(work: Path, tmp_path: Path, options, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        distil(work, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_and_nothing_is_lost(work: Path, whole: Path, tmp_path: Path, run_cli) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", place], check=False).returncode:
        pytest.skip("system: mounting a file system needs rights")
    try:
        for size, problem in (("100k", "the labels take about 0.2 MB"), ("420k", "No space left on device")):
            subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)
            full = run_cli(*command(work, place / "out", "--quiet"), timeout=600)
            assert (full.returncode, full.stderr.count("\n")) == (1, 1), full.stderr
            assert problem in full.stderr
        subprocess.run(["mount", "-o", "remount,size=20m", place], check=True)
        finished = run_cli(*command(work, place / "out", "--quiet"), timeout=600)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert made(place / "out") == made(whole)
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_teacher_that_answers_with_no_numbers(work: Path, tmp_path: Path) -> None:
    network = build_network("FSRCNN", scale=2)
    with torch.no_grad():
        network.last_layer.weight.fill_(3e38)  # finite weights, infinite results
    save_network(tmp_path / "wild.pth", network)
    with pytest.raises(SrKdError, match="the network's output holds NaN or Inf: its training diverged"):
        distil(work, tmp_path / "out", teacher=tmp_path / "wild.pth")
    assert len(list((tmp_path / "out" / "images" / "train").glob("*.png"))) == 4
    assert not list((tmp_path / "out" / "labels").rglob("*.png"))


def test_a_teacher_that_upscales_nothing(work: Path, tmp_path: Path) -> None:
    save_network(tmp_path / "classifier.pth", build_network("ResNet", classes=10, channels=1))
    with pytest.raises(UsageError, match=r"classifier\.pth holds no super-resolution network"):
        distil(work, tmp_path / "out", teacher=tmp_path / "classifier.pth")
    assert not (tmp_path / "out").exists()


def test_the_license_of_a_shipped_model_is_known(tmp_path: Path) -> None:
    shutil.copy(shipped_models()["fsrcnn_x4_photo"].file, tmp_path / "renamed.safetensors")
    for name in ("fsrcnn_x4_photo", tmp_path / "renamed.safetensors"):
        said, file = license_of(open_teacher(name, [], scale=None, device="cpu"))
        assert said.startswith("fsrcnn_x4_photo: BSD-3-Clause, Copyright (c) 2021, Xintao Wang: that of its teacher")
        assert file is not None and "Xintao Wang" in file.read_text()
    said, file = license_of(open_teacher("fsrcnn_x4", [], scale=None, device="cpu"))
    assert said == "fsrcnn_x4: Apache-2.0"
    assert file is not None and "Apache License" in file.read_text()


def test_images_that_cannot_teach(work: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one image, and two are needed"):
        distil(work, tmp_path / "out", images=work / "photos" / "photo_0.png")
    shutil.copytree(work / "photos", tmp_path / "photos")
    write_image(tmp_path / "photos" / "tiny.png", Image(np.zeros((20, 90, 3), np.uint8)))
    with pytest.raises(UsageError, match=r"1 of 6 images are too small .*tiny\.png"):
        distil(work, tmp_path / "out", images=tmp_path / "photos")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        distil(work, tmp_path / "out")


def test_other_wishes_than_before_are_refused(work: Path, whole: Path) -> None:
    with pytest.raises(
        UsageError, match=r"was begun otherwise \(students: tiny of size .*student.yml, now tiny of size small; iterat"
    ):
        distil(work, whole, name="tiny", iterations=41)


def test_the_time_decides_what_the_teacher_sees_and_how_long_the_student_learns(
    work: Path, tmp_path: Path, caplog
) -> None:
    found = find_images([str(work / "photos")], tmp_path)
    teacher = open_teacher(work / "teacher" / "my_teacher.pth", list(found.values()), scale=None, device="cpu")
    wishes = {"students": SMALL, "iterations": None}
    long = make_plan(teacher, found, tmp_path, seconds=3600.0, **wishes)
    assert (long.side, len(long.train), len(long.held_out)) == (512, 4, 1)
    with pytest.raises(UsageError, match="the time is too short for this teacher on 5 images"):
        make_plan(teacher, found, tmp_path, seconds=1e-6, **wishes)
    assert affordable_iterations(100.0, 0.03) == 3330
    assert affordable_iterations(-3.0, 0.03) == 6
    assert "the time will be exceeded" in caplog.text


def test_a_degraded_copy_shows_the_middle_at_half_the_size_with_less_of_it(work: Path, whole: Path) -> None:
    image = read_image(work / "photos" / "photo_0.png").pixels
    copy = read_image(whole / "images" / "train" / "photo_0_degraded.png").pixels
    assert np.array_equal(copy, degraded_middle(image, 512, "train/photo_0.png"))
    assert not np.array_equal(copy, degraded_middle(image, 512, "train/photo_1.png"))
    assert copy.shape == (45, 45, 3)
    shown = image.reshape(45, 2, 45, 2, 3).mean(axis=(1, 3))
    assert 2 < np.abs(copy - shown).mean() < 40
    assert np.abs(copy - shown).mean() < np.abs(copy - shown[::-1]).mean()
    assert degraded_middle(image[:50], 512, "a").shape == (50, 90, 3)
    assert middle(image, 40).shape == degraded_middle(image, 40, "a").shape
    assert read_image(whole / "labels" / "train" / "photo_0_degraded.png").pixels.shape == (90, 90, 3)


def test_copies_overwrite_no_image(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "photos", tmp_path / "photos")
    shutil.copy(work / "photos" / "photo_0.png", tmp_path / "photos" / "photo_1_degraded.png")
    with pytest.raises(UsageError, match=r"the copy of .*photo_1\.png would be named as .*photo_1_degraded\.png"):
        distil(work, tmp_path / "out", images=tmp_path / "photos", degrade=True)


def test_an_unreadable_image_is_named_and_left_out(work: Path, tmp_path: Path, caplog) -> None:
    shutil.copytree(work / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "a_first.png").write_bytes(b"no image")
    found = find_images([str(tmp_path / "photos")], tmp_path / "out")
    assert len(found) == 5
    assert "a_first.png" in caplog.text


def test_a_folder_of_answers_teaches(work: Path, whole: Path, tmp_path: Path) -> None:
    images = whole / "images" / "train"
    found = find_images([str(images)], tmp_path)
    teacher = open_teacher(whole / "labels" / "train", list(found.values()), scale=None, device="cpu")
    assert (teacher.scale, teacher.upscaler, len(teacher.answers)) == (2, None, 8)
    plan = make_plan(teacher, found, tmp_path, students=SMALL, iterations=10, seconds=None)
    write_images(plan, teacher, tmp_path, quiet=True)
    for file in sorted((tmp_path / "images").glob("*/*.png")):
        shown = read_image(tmp_path / "labels" / file.parent.name / file.name).pixels
        assert np.array_equal(shown, read_image(whole / "labels" / "train" / file.name).pixels)
    with pytest.raises(UsageError, match="has no answers to degraded copies"):
        make_plan(teacher, found, tmp_path / "new", students=SMALL, iterations=10, seconds=None, degrade=True)
    with pytest.raises(UsageError, match="have no answer in"):
        open_teacher(whole / "labels" / "held_out", list(found.values()), scale=None, device="cpu")


@pytest.mark.parametrize("peak", [1, 255])
def test_an_onnx_file_teaches_in_its_own_range(tmp_path: Path, peak: int) -> None:
    network = sr_kd.load_model("fsrcnn_x4", device="cpu").network

    class Ranged(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.deploy()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x / peak) * peak

    write_onnx(trace(Ranged().eval(), 1), tmp_path / "teacher.onnx", {})
    teacher, _ = load_teacher(tmp_path / "teacher.onnx", device="cpu")
    assert (teacher.scale, teacher.color) == (4, "y")
    image = np.ascontiguousarray(data.astronaut()[:60, :70])
    difference = teacher.upscale(image).astype(int) - sr_kd.load_model("fsrcnn_x4", device="cpu").upscale(image)
    assert abs(difference).max() <= 1


@pytest.mark.parametrize("block", [1, 3, 4, 16])
def test_an_onnx_file_may_ask_for_sides_that_are_multiples(tmp_path: Path, block: int) -> None:
    import onnx

    text = f"""<ir_version: 8, opset_import: ["": 17]> twice (float[n, 3, h, w] x) => (float[n, 3, h2, w2] y)
    <float[4] scales = {{1, 1, 2, 2}}> {{
        deep = SpaceToDepth<blocksize = {block}>(x)
        flat = DepthToSpace<blocksize = {block}>(deep)
        y = Resize<mode = "nearest">(flat, , scales)
    }}"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "teacher.onnx")
    teacher, _ = load_teacher(tmp_path / "teacher.onnx", device="cpu")
    assert teacher.network.multiple == block
    for height, width in ((61, 77), (2, 5), (1, 1)):
        image = np.ascontiguousarray(data.astronaut()[:height, :width])
        np.testing.assert_array_equal(teacher.upscale(image), image.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("kind", ["float16", "external", "external, missing"])
def test_an_onnx_file_may_be_of_half_precision_or_in_two_files(tmp_path: Path, kind: str) -> None:
    import onnx

    number = "float16" if kind == "float16" else "float"
    text = f"""<ir_version: 8, opset_import: ["": 17]> twice ({number}[n, 3, h, w] x) => ({number}[n, 3, h2, w2] y)
    {{
        four = Concat<axis = 1>(x, x, x, x)
        y = DepthToSpace<blocksize = 2, mode = "DCR">(four)
    }}"""
    model = onnx.parser.parse_model(text)
    if kind != "float16":
        one = onnx.numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "one")
        model.graph.initializer.append(one)
        model.graph.node.insert(0, onnx.helper.make_node("Mul", ["x", "one"], ["same"]))
        model.graph.node[1].input[:] = ["same"] * 4
    onnx.save(model, tmp_path / "t.onnx", save_as_external_data=kind != "float16", location="t.data", size_threshold=0)
    if kind.endswith("missing"):
        (tmp_path / "t.data").unlink()
        with pytest.raises(SrKdError, match=r"t\.onnx"):
            load_teacher(tmp_path / "t.onnx", device="cpu")
        return
    teacher, _ = load_teacher(tmp_path / "t.onnx", device="cpu")
    image = np.ascontiguousarray(data.astronaut()[:20, :30])
    np.testing.assert_array_equal(teacher.upscale(image), image.repeat(2, axis=0).repeat(2, axis=1))


LOOP = """v = Loop<body = body (int64 i, bool c, float[n, 3, h, w] a) => (bool d, float[n, 3, h, w] b) {
    d = Identity(c)
    b = Add(a, a)
}>(turns, always, x)
y = Resize<mode = "nearest">(v, , scales)"""
IMAGE = "float[n, 3, h, w] x"
PRODUCTS = "p0 = ConstantOfShape(side)\n" + "\n".join(f"p{i + 1} = MatMul(p{i}, p0)" for i in range(60))
FOLDED = f"""{PRODUCTS}
none = Sub(p60, p60)
zero = ReduceSum<keepdims = 0>(none)
same = Add(x, zero)
y = Resize<mode = "nearest">(same, , scales)"""
CALLS = """called = f.F20(x)
y = Resize<mode = "nearest">(called, , scales)"""
FUNCTIONS = "\n".join(
    f"""<domain: "f", opset_import: ["": 17, "f": 1]> F{i} (a) => (c) {{
        b = {f"f.F{i - 1}" if i else "Relu"}(a)
        c = {f"f.F{i - 1}" if i else "Relu"}(b)
    }}"""
    for i in range(21)
)


@pytest.mark.parametrize(
    ("inputs", "output", "nodes", "problem"),
    [
        ("", "float[a, b] y", "y = Identity(scales)", "takes 0 inputs: a teacher takes one, an image"),
        (IMAGE, "seq(float[n, 3, h, w]) y", "y = SequenceConstruct(x)", r"cannot compute an image .*got list"),
        (IMAGE, "string[n, 3, h, w] y", "y = Cast<to = 8>(x)", "cannot compute an image .*numpy.object_"),
        (IMAGE, "float[n, 3, a, b] y", LOOP, "cannot compute an image .*running Loop"),
        (IMAGE, "float[n, 3, a, b] y", FOLDED, "cannot compute an image .*terminate"),
        (IMAGE, "float[n, 3, a, b] y", CALLS, "more than 65,536 nodes, with those of its functions"),
    ],
)
def test_an_onnx_file_of_a_stranger(tmp_path: Path, monkeypatch, inputs, output, nodes, problem: str) -> None:
    import onnx

    from sr_kd.imaging import onnx_teacher

    monkeypatch.setattr(onnx_teacher, "SECONDS", 0.5)  # a minute is too long for a test
    monkeypatch.setattr(onnx_teacher, "SECONDS_PER_VALUE", 0.0)
    numbers = "int64[2] side = {999, 999}, int64 turns = {1152921504606846976}, bool always = {1}"
    constants = f"<float[4] scales = {{1, 1, 2, 2}}, {numbers}>"
    opsets = 'opset_import: ["": 17, "f": 1]'
    text = f"<ir_version: 8, {opsets}> hostile ({inputs}) => ({output}) {constants} {{ {nodes} }} {FUNCTIONS}"
    onnx.save(onnx.parser.parse_model(text), tmp_path / "teacher.onnx")
    with pytest.raises(SrKdError, match=problem):
        load_teacher(tmp_path / "teacher.onnx", device="cpu")


def test_a_size_may_be_a_file(work: Path, tmp_path: Path) -> None:
    assert student_options(str(work / "student.yml"), 2)["d"] == 8
    (tmp_path / "empty.yml").write_text("d: 8\n")
    with pytest.raises(UsageError, match="describes no network"):
        student_options(str(tmp_path / "empty.yml"), 2)


@pytest.mark.parametrize(
    ("size", "widths"), [("50k", (48, 32, 4)), ("12644", (56, 12, 4)), ("1.3G", (56, 16, 5)), ("5K", (24, 8, 2))]
)
def test_a_size_may_be_what_the_student_may_cost(size: str, widths: tuple[int, int, int]) -> None:
    options = student_options(size, 4)
    assert (options["d"], options["s"], options["m"]) == widths
    build_student(options, 4)


def test_a_size_may_be_a_time_here(monkeypatch) -> None:
    from sr_kd.distillation import sizes

    times = iter([0.02, 0.019, 0.004])
    monkeypatch.setattr(sizes, "seconds_for", lambda upscaler: next(times))
    assert student_options("5ms", 2, "cpu")["d"] == sizes.WIDTHS[2][0]
    monkeypatch.setattr(sizes, "seconds_for", lambda upscaler: 1.0)
    with pytest.raises(UsageError, match=r"the smallest student has 1e\+03 ms for 640x480 pixels here, and at most 5"):
        student_options("5ms", 2, "cpu")


def test_several_sizes_learn_the_same_answers_and_stand_on_one_page(work: Path, tmp_path: Path, run_cli) -> None:
    wanted = ["distil", "-n", work / "teacher" / "my_teacher.pth", "-i", work / "photos", "-o", "out", "--quiet"]
    wanted += ["--size", f"3k,{work / 'student.yml'}", "--name", "mine", "--iterations", 20, "--device", "cpu"]
    finished = run_cli(*wanted, cwd=tmp_path, timeout=600)
    assert (finished.returncode, finished.stderr) == (0, "")
    out = tmp_path / "out"
    for name in ("mine_3k", "mine_student"):
        assert {"answer.json", "recipe.yml", f"{name}.onnx"} <= {path.name for path in (out / name).iterdir()}
        assert f"wrote out/{name}/{name}.safetensors" in finished.stdout
    page = (out / "report.html").read_text()
    assert "How close are the students to their teacher?" in page
    assert "mine_3k" in page and "mine_student" in page
    assert not (out / "answer.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = run_cli(*wanted, cwd=tmp_path)
    assert again.stdout == finished.stdout
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    refused = run_cli(*[each if each != "mine" else "other" for each in wanted], cwd=tmp_path)
    assert refused.returncode == 2
    assert "students: mine_3k of size 3k, mine_student of size" in refused.stderr
    twice = run_cli(*wanted[:-6], "--size", "small,small", cwd=tmp_path)
    assert (twice.returncode, "give each size once" in twice.stderr) == (2, True)


def test_hr_images_are_learned_beside_the_answers_to_them(work: Path, tmp_path: Path) -> None:
    made = distil(work, tmp_path / "out", size=str(work / "student.yml"), name="a", hr=True, degrade=True, iterations=5)
    out = tmp_path / "out"
    hr = read_image(out / "hr" / "photo_0.png").pixels
    assert np.array_equal(hr, read_image(work / "photos" / "photo_0.png").pixels[:90, :90])
    assert np.array_equal(make_lr(hr, 2), read_image(out / "images" / "train" / "photo_0.png").pixels)
    assert np.array_equal(hr, read_image(out / "hr" / "photo_0_degraded.png").pixels)
    assert read_image(out / "images" / "train" / "photo_0_degraded.png").pixels.shape == (45, 45, 3)
    assert len(list((out / "hr").iterdir())) == len(list((out / "labels" / "train").glob("*.png"))) == 8
    train = load_recipe(out / "recipe.yml").train
    assert [Path(path).name for path in train.dataroot_gt] == ["train", "hr"]
    assert made.text() == made.answers["a"].text()
    assert (
        "scaled down and a degraded copy of each, labeled by the teacher beside HR" in (out / "README.md").read_text()
    )
    write_image(tmp_path / "small.png", Image(np.zeros((60, 90, 3), np.uint8)))
    with pytest.raises(UsageError, match="their sides must be 64 pixels or more"):
        distil(work, tmp_path / "new", images=[str(work / "photos"), str(tmp_path / "small.png")], hr=True)


PLUGIN = """\
from torch import nn

from sr_kd.networks import NETWORKS, SRNetwork, Tap


class Shuffled(SRNetwork):
    type_name = "Shuffled"

    def __init__(self, scale: int, width: int = 8):
        super().__init__()
        self.arguments = {"scale": scale, "width": width}
        self.scales, self.color, self.receptive_radius = (scale,), "rgb", 2
        self.taps = {"body": Tap(width)}
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, 3 * scale**2, 3, padding=1)

    def stages(self):
        shuffle = nn.PixelShuffle(self.scale)
        return [
            ("body", lambda state, _: self.first(state).relu()),
            ("output", lambda state, _: shuffle(self.second(state))),
        ]


def register():
    NETWORKS.register("Shuffled", Shuffled)
"""


def test_networks_of_ones_own_teach_and_learn(work: Path, tmp_path: Path, run_cli) -> None:
    (tmp_path / "shuffled.py").write_text(PLUGIN)
    (tmp_path / "narrow.yml").write_text("{type: Shuffled, width: 4}\n")
    make = (
        "from pathlib import Path; from sr_kd.config.plugins import load_plugins;"
        "load_plugins(['shuffled.py'], Path()); from sr_kd.networks.build import build_network;"
        "from sr_kd.networks.files import save_network;"
        "save_network(Path('teacher.pth'), build_network('Shuffled', scale=3))"
    )
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    wanted = ["distil", "-n", "teacher.pth", "-i", work / "photos", "-o", "out", "--size", "narrow.yml"]
    wanted += ["--name", "mine", "--iterations", 10, "--device", "cpu", "--quiet"]
    refused = run_cli(*wanted, cwd=tmp_path)
    assert refused.returncode == 1
    assert "unknown network 'Shuffled'" in refused.stderr and "--plugin FILE" in refused.stderr
    made = run_cli(*wanted, "--plugin", "shuffled.py", cwd=tmp_path, timeout=600)
    assert made.returncode == 0, made.stderr
    assert (
        "License of the teacher: unknown (neither the file nor a LICENSE beside it says): ask its author" in made.stdout
    )
    assert made.stdout.count("Note: no license file lies beside the teacher: find out what its author allows") == 1
    assert (tmp_path / "out" / "mine.onnx").is_file()
    assert f"plugins: [{tmp_path / 'shuffled.py'}]" in (tmp_path / "out" / "recipe.yml").read_text()
    again = run_cli("check", "-opt", "out/recipe.yml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
