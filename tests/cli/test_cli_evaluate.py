"""``sr-kd evaluate`` and ``sr-kd test`` as their users run them."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal
from skimage import data

import sr_kd.images
import sr_kd.report.run
from sr_kd.cli.main import main
from sr_kd.data.resize import make_lr
from sr_kd.evaluation.api import evaluate
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.load import upscale
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HR photographs in `hr/Small`, their LR in `lr`, and the network `models/student.pth`."""
    root = tmp_path_factory.mktemp("evaluate")
    photographs = {"astronaut": data.astronaut()[:80, 90:190], "camera": data.camera()[100:180, 200:300, None]}
    for name, pixels in photographs.items():
        write_image(root / "hr" / "Small" / f"{name}.png", Image(pixels))
        write_image(root / "lr" / f"{name}.png", Image(make_lr(pixels, 2)))
    torch.manual_seed(0)
    save_network(root / "models" / "student.pth", build_network("FSRCNN", init="bicubic", scale=2))
    return root


def test_two_models_as_table_json_and_montage(run_cli, folder: Path, tmp_path: Path) -> None:
    model, hr = folder / "models" / "student.pth", folder / "hr" / "Small"
    files = ("--json", tmp_path / "scores.json", "--montage", tmp_path / "montage.png")
    result = run_cli("evaluate", "-n", "bicubic", "-n", model, "--hr", hr, "--scale", 2, *files, "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "| model | Small |"
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| bicubic", "| student"]
    assert "x2, protocol rgb8: " in result.stdout
    assert f"Command: `sr-kd evaluate -n bicubic -n {model} --hr {hr}" in result.stdout
    assert "| student - bicubic | PSNR | " in result.stdout
    assert "One seed: training noise is not included." in result.stdout
    bicubic, student = json.loads((tmp_path / "scores.json").read_text())
    assert list(bicubic) == ["model", "scale", "protocol", "sets"]
    assert (student["model"], student["scale"], student["protocol"]) == ("student", 2, "rgb8")
    (own,) = evaluate(model, hr, scale=2, device="cpu")
    assert student["sets"][0]["psnr"] == pytest.approx(own.psnr, abs=1e-4)
    assert [image["name"] for image in student["sets"][0]["images"]] == ["astronaut", "camera"]
    assert read_image(tmp_path / "montage.png").width > 500


def test_the_guides_metric_beside_ours_in_table_json_and_csv(
    run_cli, repository: Path, folder: Path, tmp_path: Path
) -> None:
    (code,) = re.findall(
        r"```python\n(import torch\n.*?)```", (repository / "docs/evaluation.md").read_text(), re.DOTALL
    )
    (tmp_path / "gmsd.py").write_text(code)
    metrics = ("--plugin", "gmsd.py", "--metrics", "gmsd", "psnr", "vif")
    files = ("--json", "scores.json", "--csv", "scores.csv")
    result = run_cli(
        *("evaluate", "-n", "bicubic", "--hr", folder / "hr" / "Small", "-s", 2, "--quiet", *metrics, *files),
        cwd=tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "Scores: GMSD (less is better) / PSNR (dB, peak 255) / VIF (pixel domain)." in result.stdout
    (own,) = evaluate("bicubic", folder / "hr" / "Small", scale=2, device="cpu", metrics=["psnr", "vif"])
    (small,) = json.loads((tmp_path / "scores.json").read_text())["sets"]
    assert list(small) == ["name", "gmsd", "psnr", "vif", "images"]
    assert (small["psnr"], small["vif"]) == pytest.approx((own.mean("psnr"), own.mean("vif")))
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [row["image"] for row in rows] == ["astronaut", "camera"]
    assert [float(row["psnr"]) for row in rows] == pytest.approx([image.psnr for image in own.images])
    hr = read_image(folder / "hr" / "Small" / "camera.png").pixels[..., 0]
    sr = upscale(make_lr(hr[..., None], 2), "bicubic", scale=2)[..., 0]
    assert float(rows[1]["gmsd"]) == pytest.approx(scipy_gmsd(sr[2:-2, 2:-2], hr[2:-2, 2:-2]), abs=2e-3)


def scipy_gmsd(image: np.ndarray, hr: np.ndarray) -> float:
    """As the paper's program."""
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    maps = []
    for levels in (image, hr):
        halved = levels.astype(float).reshape(len(levels) // 2, 2, -1, 2).mean((1, 3))
        maps.append(np.hypot(*(signal.convolve2d(halved, kernel, mode="same") for kernel in (prewitt, prewitt.T))))
    a, b = maps
    return float(((2 * a * b + 170) / (a**2 + b**2 + 170)).std(ddof=1))


def test_half_precision_and_another_runtime(folder: Path, tmp_path: Path) -> None:
    command = [
        "evaluate",
        "-n",
        str(folder / "models" / "student.pth"),
        "--hr",
        str(folder / "hr" / "Small"),
        "-s",
        "2",
    ]
    scores = {}
    for options in ([], ["--precision", "bf16"], ["--runtime", "onnxruntime"]):
        file = tmp_path / "scores.json"
        assert main([*command, *options, "--device", "cpu", "--json", str(file), "--quiet"]) == 0
        scores[" ".join(options)] = json.loads(file.read_text())["sets"][0]["psnr"]
    exact, half, onnx = scores.values()
    assert 0 < abs(half - exact) < 0.1
    assert onnx == pytest.approx(exact, abs=1e-3)


def test_lr_files_give_what_lr_made_from_hr_gives(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "-n", "bicubic", "--hr", str(folder / "hr" / "Small"), "-s", "2", "--json", "-", "--quiet"]
    outputs = []
    for more in ([], ["--lr", str(folder / "lr")]):
        assert main([*arguments, *more]) == 0
        outputs.append(json.loads(capsys.readouterr().out))
    assert outputs[0] == outputs[1]


def test_finished_images(run_cli, folder: Path, tmp_path: Path) -> None:
    hr = folder / "hr" / "Small"
    done = run_cli("upscale", "-i", folder / "lr", "-o", tmp_path / "sr", "-n", "bicubic", "-s", 2, "--quiet")
    assert done.returncode == 0, done.stderr
    write_image(tmp_path / "sr" / "poster.png", Image(data.astronaut()[:20, :20]))
    result = run_cli("evaluate", "--sr", tmp_path / "sr", "--hr", hr, "--scale", 2, "--quiet")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("| model | Small |")
    assert "1 of 3 images" in result.stderr
    (tmp_path / "sr" / "camera.png").rename(tmp_path / "sr" / "camrea.png")
    broken = run_cli("evaluate", "--sr", tmp_path / "sr", "--hr", hr, "--scale", 2)
    assert broken.returncode == 2
    assert "1 of 2 HR images have no image of that name: 'camera' (did you mean 'camrea'?)" in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-n", "bicubic", "--hr", "hr/Smal"], 2, "no folder hr/Smal"),
        (["-n", "bicubik", "--hr", "hr/Small"], 2, "did you mean 'bicubic'"),
        (["-n", "bicubic", "--hr", "hr/Small", "--protocol", "yuv"], 2, "unknown protocol 'yuv'"),
        (["-n", "bicubic", "--hr", "hr/Small", "--scale", "3", "--lr", "lr"], 2, "expected 33x26"),
        (["-n", "models/student.pth", "--hr", "hr/Small", "--scale", "3"], 2, "serves x2, not x3"),
        (["-n", "bicubic", "--hr", "hr/Small", "--scale", "0"], 2, "--scale is 0"),
        (["-n", "bicubic", "--hr", "hr/Small", "--scale", "1"], 2, "--scale is 1; it must be at least 2"),
        (["-n", "bicubic", "--hr", "broken", "--json", "hr"], 2, "--json hr is a folder; name a file"),
        (["-n", "bicubic", "--hr", "broken", "--json", "lr/camera.png/x.json"], 2, "lr/camera.png is a file, where"),
        (["-n", "bicubic", "--hr", "broken", "--montage", "hr"], 2, "cannot write '' files"),
        (["-n", "bicubic", "--hr", "broken", "--montage", "m.xyz"], 2, "cannot write '.xyz' files"),
        (["-n", "bicubic", "--hr", "broken", "--montage", "lr/camera.png/m.png"], 2, "lr/camera.png is a file, where"),
        (["-n", "bicubic", "--hr", "broken", "--metrics", "psrn"], 2, "unknown metric 'psrn' (did you mean 'psnr'?)"),
        (["-n", "bicubic", "--hr", "hr/Small", "--metrics", "ms_ssim"], 1, "176x176 must remain for MS-SSIM"),
        (["-n", "bicubic", "--hr", "hr/Small", "--plugin", "x.py"], 2, "plug-in x.py: there is no file"),
        (["-n", "bicubic", "--hr", "hr/Small", "--csv", "hr"], 2, "--csv hr is a folder; name a file"),
        (["-n", "bicubic", "--hr", "broken", "--json", "broken/photo.png"], 2, "its name is not that of a text file"),
        (["-n", "bicubic", "--hr", "hr/Small", "--lr", "lr", "--montage", "lr/camera.png"], 2, "an image of lr, which"),
        (["-n", "bicubic", "--hr", "broken"], 1, "cannot read broken/photo.png"),
        (["--hr", "hr/Small"], 2, "models with -n, or a folder of finished images with --sr"),
        (["--sr", "hr/Small", "--hr", "hr/Small", "lr"], 2, "--hr names 2 sets"),
        (["--sr", "lr", "--hr", "hr/Small"], 1, "is the scale right?"),
        (["-n", "bicubic", "--hr", "hr/Small", "lr", "--lr", "lr"], 2, "2 HR folder(s), but 1 LR folder(s)"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (folder / "broken").mkdir(exist_ok=True)
    (folder / "broken" / "photo.png").write_bytes(b"no image")
    monkeypatch.chdir(folder)
    assert main(["evaluate", "--scale", "2", *arguments, "--quiet"]) == code
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("sr-kd evaluate: error: ")
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_a_test_recipe_writes_tables_scores_and_images(run_cli, folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "test.yml"
    recipe.write_text(
        f"""
name: small_x2
scale: 2
models:
  bicubic: bicubic
  my student: {folder / "models" / "student.pth"}
baseline: my student
val: {{metrics: [ssim, psnr]}}
datasets:
  test_1: {{name: Small, dataroot_gt: {folder / "hr" / "Small"}}}
  test_2: {{name: Luma, dataroot_gt: {folder / "hr" / "Small"}, protocol: yfloat}}
"""
    )
    habits = ("--launcher", "none", "--auto_resume", "--debug", "--force_yml", "val:save_img=true")
    result = run_cli("test", "-opt", recipe, "--quiet", *habits, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    results = tmp_path / "results" / "small_x2"
    table = (results / "table.md").read_text()
    assert table.startswith("| model | Small (rgb8) | Luma (yfloat) |")
    assert f"Command: `sr-kd test -opt {recipe} --force_yml val:save_img=true`" in table
    assert result.stdout.startswith(table)
    assert "| bicubic - my student | SSIM | " in table
    assert (results / "scores.csv").read_text().startswith("model,scale,protocol,set,image,ssim,psnr\n")
    scores = json.loads((results / "results.json").read_text())
    assert [(each["model"], each["protocol"]) for each in scores] == [
        ("bicubic", "rgb8"),
        ("bicubic", "yfloat"),
        ("my student", "rgb8"),
        ("my student", "yfloat"),
    ]
    image = read_image(results / "visualization" / "Small" / "astronaut_my_student.png")
    assert (image.width, image.height, image.channels) == (100, 80, 3)


def test_results_in_every_form_with_their_images(run_cli, folder: Path, tmp_path: Path) -> None:
    hr, model = folder / "hr" / "Small", folder / "models" / "student.pth"
    files = {name: tmp_path / f"scores.{name}" for name in ("json", "csv", "markdown", "latex")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    chosen = ("-n", "bicubic", "-n", f"Our student={model}", "--save", tmp_path / "images")
    result = run_cli("evaluate", *chosen, "--hr", hr, "--scale", 2, *options, "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    assert files["markdown"].read_text() == result.stdout and "| Our student - bicubic |" in result.stdout
    assert r"\textbf{" in files["latex"].read_text() and "Our student & " in files["latex"].read_text()
    bicubic, student = json.loads(files["json"].read_text())
    rows = [row for row in csv.DictReader(files["csv"].open()) if row["model"] == "Our student"]
    assert [float(row["psnr"]) for row in rows] == [image["psnr"] for image in student["sets"][0]["images"]]
    saved = tmp_path / "images" / "Our student" / "Small"
    assert sorted(path.name for path in saved.iterdir()) == ["astronaut.png", "camera.png"]
    again = run_cli("evaluate", "--sr", saved, "--hr", hr, "--scale", 2, "--json", "-", "--quiet")
    (own,) = json.loads(again.stdout)["sets"]
    assert own["psnr"] == pytest.approx(student["sets"][0]["psnr"], abs=0.02)
    assert bicubic["sets"][0]["psnr"] != student["sets"][0]["psnr"]


def test_a_montage_is_not_written_over_an_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = folder / "hr" / "Small" / "camera.png"
    before = image.read_bytes()
    arguments = ["montage", "-n", "bicubic", "--hr", str(image.parent), "-s", "2", "-o", str(image)]
    assert main(arguments) == 2
    assert "is an image of" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_saved_results_that_are_removed_meanwhile_are_a_failure(folder: Path, tmp_path: Path, monkeypatch, capsys):
    real, written = sr_kd.images.write_image, []

    def write(path: Path, image: Image) -> None:  # from several threads
        real(path, image)
        written.append(path)
        if len(written) == 2:
            shutil.rmtree(tmp_path / "made")

    monkeypatch.setattr(sr_kd.images, "write_image", write)
    arguments = ["-n", "bicubic", "--hr", str(folder / "hr" / "Small"), "-s", "2", "--save", str(tmp_path / "made")]
    assert main(["evaluate", *arguments, "--quiet"]) == 1
    said = capsys.readouterr()
    assert "2 results were removed meanwhile" in said.err and said.out == ""


@pytest.mark.parametrize("name", ["photo.PNG", "net.pth", "recipe.yml", "net.onnx"])
@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "-n", "bicubic", "--hr", "hr", "-s", "2", "--json"],
        ["evaluate", "-n", "bicubic", "--hr", "hr", "-s", "2", "--csv"],
        ["info", "net.pth", "--card"],
        ["export", "-n", "fsrcnn_x2", "-o", "a.onnx", "--card"],
        ["report", "run", "--html"],
        ["schema", "--output"],
    ],
    ids=lambda command: command[0] + command[-1],
)
def test_a_text_is_not_written_over_what_is_none(folder: Path, tmp_path: Path, monkeypatch, capsys, command, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"of the user")
    monkeypatch.setattr(sr_kd.report.run, "find_run", lambda *_: None)
    assert main([*command, name]) == 2
    assert f"{command[-1]} {name} exists, and its name is not that of a text file" in capsys.readouterr().err
    assert Path(name).read_bytes() == b"of the user"
