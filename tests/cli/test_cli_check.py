"""``sr-kd check`` in its own process: what it prints and its exit code."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

RECIPE = """\
name: pisr
scale: 2
datasets:
  train: {dataroot_gt: "scikit-image:train", gt_size: 64, use_shuffle: true}
  val_1: {name: photographs, dataroot_gt: "scikit-image:held_out"}
networks:
  teacher: {type: PrivilegedTeacher, encoder: {type: Hourglass}, decoder: {type: FSRCNN}}
  student: {type: FSRCNN}
phases:
  teacher: {trains: teacher, total_iter: 3000, losses: [{type: L1}, {type: Imitation, weight: 1e-4}]}
  student:
    needs: [teacher]
    trains: student
    init: {from: teacher, part: decoder}
    total_iter: teacher + 500
    losses:
      - {type: L1}
      - {type: VID, weight: 1e-6, taps: [expanding]}
arms: {PISR: student}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "pisr.yml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_good_file_is_summed_up(run_cli, recipe):
    done = run_cli("check", "-opt", recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "pisr: a training recipe, x2",
        "  phase teacher: teacher (PrivilegedTeacher, 98,728 parameters), 3,000 iterations of Adam 0.001 constant",
        "    losses: 1 L1, 0.0001 Imitation",
        "  phase student: student (FSRCNN, 12,644 parameters), 3,500 iterations of Adam 0.001 constant, "
        "taught by teacher, from teacher decoder",
        "    losses: 1 L1, 1e-06 VID on expanding",
        "  arms: PISR (student)",
        "  seeds: 0",
        "  train on scikit-image:train (11 images): 16 HR patches of 64 pixels",
        "  validate on photographs (4 images), rgb8",
    ]
    assert done.stderr.splitlines() == [
        f"{recipe}:4: key 'datasets.train.use_shuffle' is read by nothing here and was ignored"
    ]


def test_a_wrong_file_is_refused_with_exit_code_2(run_cli, recipe):
    recipe.write_text(RECIPE.replace("taps: [expanding]", "taps: [expandin]").replace(", use_shuffle: true", ""))
    done = run_cli("check", "-opt", recipe)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"sr-kd check: error: {recipe}:18: key 'phases.student.losses[1]' is refused: unknown tap of the FSRCNN "
        "'expandin' (did you mean 'expanding'?); known: expanding, feature_extraction, mapping, shrinking"
    ]


def test_missing_images_are_refused_unless_told_otherwise(run_cli, recipe):
    override = ("--force_yml", "datasets:train:dataroot_gt=nowhere")
    refused = run_cli("check", "-opt", recipe, *override)
    assert refused.returncode == 2
    assert "key 'datasets.train.dataroot_gt' cannot" in refused.stderr or "'datasets.train' cannot" in refused.stderr
    assert run_cli("check", "-opt", recipe, *override, "--no-data").returncode == 0


def test_a_test_file_is_recognized(run_cli, tmp_path):
    path = tmp_path / "test.yml"
    text = 'name: t\nscale: 2\ndatasets: {test_1: {dataroot_gt: "scikit-image:held_out"}}\nmodels: {Bicubic: bicubic}\n'
    path.write_text(text, encoding="utf-8")
    done = run_cli("check", "-opt", path)
    assert done.stdout.splitlines() == [
        "t: a test, x2",
        "  model Bicubic: bicubic",
        "  set scikit-image:held_out (4 images), rgb8",
    ]
    missing = run_cli("check", "-opt", path, "--force_yml", "models.ours=nowhere/net.pth")
    assert missing.returncode == 2
    assert "key 'models.ours' names a file that does not exist: nowhere/net.pth" in missing.stderr
    assert run_cli("test", "-opt", path, "--force_yml", "models.ours=nowhere/net.pth").stderr == missing.stderr.replace(
        "sr-kd check", "sr-kd test"
    )
    unknown = run_cli("check", "-opt", path, "--no-data", "--force_yml", "models.ours=fsrcnx_x2")
    assert unknown.returncode == 2
    assert "key 'models.ours' names no model and no file: 'fsrcnx_x2' (did you mean 'fsrcnn_x2'?)" in unknown.stderr
    path.write_text(text.replace("{Bicubic: bicubic}", "{}"), encoding="utf-8")
    refused = run_cli("check", "-opt", path)
    assert refused.returncode == 2
    assert f"{path}:4: key 'models' is empty: nothing would be measured" in refused.stderr


def test_a_diagnosis_measures_every_loss_on_one_batch(run_cli, recipe, tmp_path):
    recipe.write_text(RECIPE.replace("gt_size: 64, use_shuffle: true", "gt_size: 32, batch_size_per_gpu: 2"))
    done = run_cli("check", "-opt", recipe, "--diagnose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("\n\n")[1:]
    titles = [part.splitlines()[0] for part in parts]
    assert titles == [
        "phase teacher, unweighted, task loss L1",
        "phase student, unweighted, task loss L1 (student not yet from teacher, which is not finished; "
        "teacher with first weights: teacher is not finished)",
    ]
    (vid,) = (line.split() for line in parts[1].splitlines()[2:])
    name, _, gradient, ratio, weight = vid
    assert name == "VID/vid"
    assert float(gradient) > 0
    assert float(ratio) * float(weight) == pytest.approx(0.1, rel=0.01)


def test_a_preview_shows_hr_above_lr(run_cli, recipe, tmp_path):
    sheets = {}
    for name, degradation in (("plain", ""), ("degraded", ", degradation: {jpeg_prob: 1, jpeg_range: [10, 10]}")):
        recipe.write_text(RECIPE.replace("use_shuffle: true", f"batch_size_per_gpu: 2{degradation}"))
        done = run_cli("check", "-opt", recipe, "--preview", tmp_path / f"{name}.png")
        assert done.returncode == 0 and done.stdout.endswith(f"wrote {tmp_path / name}.png\n"), done.stderr
        assert (", degraded" in done.stdout) == bool(degradation)
        sheets[name] = np.asarray(PIL.Image.open(tmp_path / f"{name}.png").convert("L"))
    plain, degraded = sheets["plain"], sheets["degraded"]
    assert plain.shape == degraded.shape == (128, 128)
    assert np.array_equal(plain[:64], degraded[:64]) and np.abs(plain[64:] - degraded[64:].astype(int)).mean() > 2
