"""``sr-kd distil``: killed in each of its parts it ends with the same files; what cannot work is refused first."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

import sr_kd
from sr_kd.distillation.plan import find_images, make_plan, write_images
from sr_kd.distillation.student import affordable_iterations, student_options
from sr_kd.distillation.teacher import open_teacher
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.graph import trace, write_onnx
from sr_kd.imaging.label import load_teacher
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network
from sr_kd.recipes.load import load_recipe

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
    options = ("--size", size, "--name", "tiny", "--iterations", 40, "--device", "cpu")
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
    assert answer["images"] == 1
    assert "times faster" in said
    assert "License of the teacher: MIT License" in said
    for name in ("tiny.safetensors", "tiny.onnx", "report.html", "README.md", "recipe.yml", "TEACHER_LICENSE.txt"):
        assert (whole / name).is_file()
        assert f"wrote {whole / name}" in said
    card = (whole / "README.md").read_text()
    assert "Distilled from my_teacher.pth" in card
    assert "that of the teacher: MIT License" in card
    assert "held-out images" in (whole / "report.html").read_text()
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


def test_a_dry_run_writes_nothing(work: Path, tmp_path: Path, run_cli) -> None:
    finished = run_cli(*command(work, tmp_path / "out", "--dry-run"), cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "my_teacher.pth x2 teaches on 4 images, 1 more are held out" in finished.stderr
    assert "training: about 40 iterations" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def distil(work: Path, output: Path, **options):
    teacher = options.pop("teacher", work / "teacher" / "my_teacher.pth")
    images = options.pop("images", work / "photos")
    return sr_kd.distil(teacher, images, output, **{"device": "cpu", "iterations": 40, **options})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": "smal"}, r"unknown size 'smal' \(did you mean 'small'\?\)"),
        ({"export": ["tflite"]}, "unknown export format 'tflite'"),
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
        UsageError, match=r"was begun otherwise \(size: .*student.yml, now small; iterations: 40, now 41"
    ):
        distil(work, whole, name="tiny", iterations=41)


def test_the_time_decides_what_the_teacher_sees_and_how_long_the_student_learns(work: Path, tmp_path: Path) -> None:
    found = find_images([str(work / "photos")], tmp_path)
    teacher = open_teacher(work / "teacher" / "my_teacher.pth", list(found.values()), scale=None, device="cpu")
    wishes = {"name": "a", "size": "small", "iterations": None}
    long = make_plan(teacher, found, tmp_path, seconds=3600.0, **wishes)
    assert (long.side, len(long.train), len(long.held_out)) == (512, 4, 1)
    with pytest.raises(UsageError, match="are too short for this teacher on 5 images"):
        make_plan(teacher, found, tmp_path, seconds=1e-6, **wishes)
    assert affordable_iterations(100.0, 0.03) == 3330
    with pytest.raises(SrKdError, match="are left for training"):
        affordable_iterations(-3.0, 0.03)


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
    assert (teacher.scale, teacher.upscaler, len(teacher.answers)) == (2, None, 4)
    plan = make_plan(teacher, found, tmp_path, name="a", size="small", iterations=10, seconds=None)
    write_images(plan, teacher, tmp_path, quiet=True)
    for file in sorted((tmp_path / "images").glob("*/*.png")):
        shown = read_image(tmp_path / "labels" / file.parent.name / file.name).pixels
        assert np.array_equal(shown, read_image(whole / "labels" / "train" / file.name).pixels)
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


def test_a_size_may_be_a_file(work: Path, tmp_path: Path) -> None:
    assert student_options(str(work / "student.yml"), 2)["d"] == 8
    (tmp_path / "empty.yml").write_text("d: 8\n")
    with pytest.raises(UsageError, match="describes no network"):
        student_options(str(tmp_path / "empty.yml"), 2)
