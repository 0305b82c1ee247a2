"""What all commands refuse alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sr_kd.cli.main import main


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        (["upscale", "-i", "", "-o", "out"], "input"),
        (["upscale", "-i", "photo.png", "-o", ""], "output"),
        (["upscale", "-i", "photo.png", "-o", "out", "-n", ""], "model"),
        (["evaluate", "-n", "bicubic", "--hr", "photos", "", "-s", "2"], "hr"),
        (["evaluate", "--sr", "", "--hr", "photos", "-s", "2"], "sr"),
        (["prepare", "photos", "-o", ""], "output"),
        (["prepare", "", "-o", "out"], "dataroot"),
        (["train", "-opt", ""], "opt"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(command, argument, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    sentence = f"argument '{argument}' is empty; leave it out, or write '.' for the current folder"
    assert capsys.readouterr().err == f"sr-kd {command[0]}: error: {sentence}\n"
    assert not list(tmp_path.iterdir())


def test_an_empty_suffix_is_the_same_name(run_cli, tmp_path):
    from skimage import data, io

    io.imsave(tmp_path / "photo.png", data.astronaut()[:12, :16])
    done = run_cli("upscale", "-i", tmp_path / "photo.png", "-o", tmp_path / "out", "-n", "bicubic", "--suffix", "")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "photo.png").exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["upscale", "-i", "a", "-o", "b", "--qualtiy=5"], "unknown argument: --qualtiy=5 (did you mean '--quality'?)"),
        (
            ["evaluate", "--hr", "a", "-s", "2", "--protokol", "rgb"],
            "unknown argument: --protokol (did you mean '--protocol'?)",
        ),
        (["--quiet", "models"], "unknown argument: --quiet"),
    ],
)
def test_an_unknown_argument_gets_the_nearest_name(command, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {sentence}")


def test_the_shipped_models_are_listed_with_their_speed_on_request(capsys):
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "MP / s" not in listed
    assert main(["models", "--json", "--speed", "--device", "cpu"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert all(name in listed and entry["megapixels_per_second"] > 0 for name, entry in entries.items())


def test_closed_standard_streams_cost_no_work(tmp_path, repository):
    from skimage import data, io

    io.imsave(tmp_path / "photo.png", data.astronaut()[:12, :16])
    command = f"exec '{sys.executable}' -m sr_kd upscale -i photo.png -o out -n bicubic <&- >&- 2>&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(repository)}, check=False
    )
    assert done.returncode == 0
    assert io.imread(tmp_path / "out" / "photo.png").shape == (24, 32, 3)


def test_a_removed_current_folder_is_one_sentence(tmp_path, repository):
    command = f"mkdir gone; cd gone; rmdir ../gone; exec '{sys.executable}' -m sr_kd upscale -i photo.png -o out"
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "sr-kd upscale: error: the current folder was removed: go to another one\n"
