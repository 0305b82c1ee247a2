"""Records that runs leave (JSON), as a stranger or a bad disk may change them: damaged, and never a traceback."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from skimage import data

from sr_kd.data.folders import read_meta_info
from sr_kd.data.label_record import LabelRecord, read_record
from sr_kd.data.lmdb import LmdbWriter, lmdb_images
from sr_kd.distillation.answer import Closeness, StudentAnswer, read_answer
from sr_kd.distillation.plan import Plan, Student, read_plan, write_plan
from sr_kd.distillation.student import measured_step, write_recipe
from sr_kd.errors import SrKdError, UsageError
from sr_kd.files import atomic_path, claim, is_temporary, read_json, sweep_tree
from sr_kd.images import Image, write_image
from sr_kd.imaging.onnx_teacher import load_onnx_teacher
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.lock import only_run_of
from sr_kd.recipes.record import FinishedPhase, file_digest, record_images
from sr_kd.training.checkpoint import StateFolder
from sr_kd.training.run_log import log_to_file
from sr_kd.training.scalars import read_scalars
from sr_kd.training.step_times import read_step_times

TEXTS = (
    "",
    "null",
    '"text"',
    "1e999",
    "[" * 100_000,
    '{"a": NaN}',
    "[1" + "0" * 400 + "]",
    '{"images": []}',
    "\xff\xfe",
)
ANSWER = StudentAnswer(
    {"student": Closeness(30.0, 0.9)}, {"teacher": 2.0, "student": 1.0}, {"teacher": 2, "student": 1}, "CPU", 1, "MIT"
)
STUDENTS = {"name": Student("small", {"type": "FSRCNN"})}
PLAN = Plan("t.pth", "00", 2, STUDENTS, 10, None, 512, {"0.png": "a/0.png"}, {"1.png": "a/1.png"})
LABELS = LabelRecord("t.pth", "00", 2, "fp32", None, {"0": {"bytes": 1, "sha256": "00"}})
FINISHED = {"iterations": 12, "scores": {"val": {"psnr": 30.0}}, "networks": {"net_g_latest.pth": "00"}}


def unread(read: Callable[[], Any]) -> bool:
    """Whether nothing came of it: None, an empty list, or an error that the caller expects."""
    try:
        return not read()
    except (SrKdError, ValueError):
        return True


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("answer.json", read_answer),
        ("plan.json", read_plan),
        ("labels.json", read_record),
        ("step_times.json", lambda folder: read_step_times(folder / "step_times.json")),
        ("scalars.jsonl", lambda folder: list(read_scalars(folder / "scalars.jsonl"))),
        ("finished.json", lambda folder: read_json(folder / "finished.json", FinishedPhase)),
    ],
)
def test_what_is_no_record_is_never_read(tmp_path, file, read):
    for text in TEXTS:
        (tmp_path / file).write_bytes(text.encode("latin-1"))
        assert unread(lambda: read(tmp_path)), text[:20]
    if hasattr(os, "mkfifo"):  # it would be waited for
        (tmp_path / file).unlink()
        os.mkfifo(tmp_path / file)
        assert unread(lambda: read(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "read", "needed"),
    [
        ("answer.json", asdict(ANSWER), read_answer, ("closeness", "seconds", "parameters")),
        ("labels.json", asdict(LABELS), read_record, ("images",)),
        (
            "finished.json",
            FINISHED,
            lambda folder: read_json(folder / "finished.json", FinishedPhase),
            ("iterations", "scores", "networks"),
        ),
    ],
)
def test_values_of_another_kind_are_damage_or_can_be_shown(tmp_path, file, content, read, needed):
    for key in content:
        for value in (None, "x", [[[]]], {"a": {}}, -1, 10**400, [], {}, ""):
            (tmp_path / file).write_text(json.dumps({**content, key: value}))
            found = unread(lambda: read(tmp_path))
            assert found or key not in needed or value in ({}, "", {"a": {}}), (key, value)


def test_a_plan_is_read_as_it_was_written(tmp_path):
    write_plan(PLAN, tmp_path)
    assert read_plan(tmp_path) == PLAN
    for side in (-1, 0, "x", None, 1.5):
        (tmp_path / "plan.json").write_text(json.dumps({**asdict(PLAN), "side": side}))
        with pytest.raises(SrKdError, match=r"plan\.json is damaged"):
            read_plan(tmp_path)


@pytest.mark.parametrize(
    "name", ["é", "a: b", "x # y", "{z}", "[b]", "tab\tname", "new\nline", "'q\" ,", "\udcff", "*&!"]
)
def test_a_distillation_may_lie_in_any_folder(tmp_path, name):
    folder = tmp_path / name
    recipe: Any = load_recipe(write_recipe(PLAN, "name", folder, 10))
    train = recipe.train
    assert [str(path) for path in train.dataroot_lq] == [str(folder / "images" / "train")]
    assert str(recipe.path.experiments_root) == str(folder / "experiments")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="system: no pipes")
def test_what_a_run_writes_goes_into_its_own_files(tmp_path):
    (tmp_path / "precious").write_text("mine")
    for number, make in enumerate((lambda path: path.symlink_to(tmp_path / "precious"), os.mkfifo)):
        log, locked = tmp_path / f"log{number}", tmp_path / f"run{number}"
        lock = tmp_path / f"lmdb{number}" / "lock.mdb"
        lock.parent.mkdir()
        for path in (log, lock, locked.with_name(f".{locked.name}.lock")):
            make(path)
        for write in (partial(log_to_file, log), partial(LmdbWriter, lock.parent), only_run_of(locked).__enter__):
            with pytest.raises(SrKdError, match="is a link, or no file"):
                write()
    with pytest.raises(SrKdError, match="a device or a pipe, not a file"):
        record_images(log, ["a.png"])
    assert log.is_fifo()
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="system: no pipes")
def test_pipes_are_never_waited_for(tmp_path):
    states = StateFolder(tmp_path / "states", keep=1)
    states.save(5, {"iteration": 5})
    (tmp_path / "states" / "²").with_suffix(".state").touch()  # a digit, and no number
    for path in (tmp_path / "states" / "7.state", tmp_path / "net_g_latest.pth", tmp_path / "meta_info.txt"):
        os.mkfifo(path)
    assert states.load_latest() == (5, {"iteration": 5})
    assert file_digest(tmp_path / "net_g_latest.pth") == ""
    with pytest.raises(UsageError, match="it is no file"):
        read_meta_info(str(tmp_path / "meta_info.txt"))
    os.mkfifo(tmp_path / "teacher.onnx")
    with pytest.raises(SrKdError, match="it is no file"):
        load_onnx_teacher(tmp_path / "teacher.onnx")
    (tmp_path / "data.mdb").touch()
    with pytest.raises(UsageError, match="it is no file"):
        lmdb_images(str(tmp_path))


def test_what_killed_runs_left_is_swept_and_nothing_of_others(tmp_path):
    left = [tmp_path / name for name in ("a/.0.sr_kd-adgt9nk7.png", ".x.sr_kd-wkch84_4", "a/b/.7.sr_kd-abcdefgh.state")]
    names = (".hidden", ".run.lock", "a/0.png", ".new.sr_kd-abcdefgh.png", ".0.abcdefgh.png", "a/x.sr_kd-abcdefgh.png")
    others = [tmp_path / name for name in names]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - 120 * (".new" not in path.name),) * 2)
    sweep_tree(tmp_path)
    assert [path for path in (*left, *others) if path.exists()] == others


def test_temporary_files_carry_our_mark(tmp_path):
    with atomic_path(tmp_path / ("n" * 99 + ".png")) as path, claim(tmp_path / "a.png"):
        assert is_temporary(path) and all(is_temporary(each) for each in tmp_path.iterdir())
        assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "command",
    [
        ("prepare", "photos", "-o", "made", "--workers", 0),
        ("label", "-n", "fsrcnn_x2", "-i", "photos", "-o", "made", "--device", "cpu"),
        ("upscale", "-n", "bicubic", "-s", 2, "-i", "photos", "-o", "made"),
        ("evaluate", "-n", "bicubic", "-s", 2, "--hr", "photos", "--device", "cpu", "--json", "made/a.json"),
        ("export", "-n", "fsrcnn_x2", "-o", "made/a.safetensors"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_sweeps_its_own_alone(tmp_path, run_cli, monkeypatch, command):
    """What a killed run left goes, a stranger's hidden file that looks like what mkstemp makes stays."""
    monkeypatch.chdir(tmp_path)
    write_image("photos/a.png", Image(data.astronaut()[:64, :64]))
    left, other = Path("made/.a.sr_kd-abcdefgh.json"), Path("made/.cat.original.png")
    assert run_cli(*command).returncode == 0
    for path in (left, other):
        path.touch()
        os.utime(path, (0, 0))
    again = run_cli(*command)
    assert again.returncode == 0, again.stderr
    assert not left.exists() and other.exists()


def test_unknown_times_are_a_sentence(tmp_path):
    folder = tmp_path / "training_states" / "student"
    folder.mkdir(parents=True)
    (folder / "step_times.json").write_text("{}")
    with pytest.raises(SrKdError, match="how long a step takes is unknown"):
        measured_step(tmp_path)
