"""Where a result is put: never in the place of a device, and nothing of a killed run stays beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sr_kd.cli.main import main
from sr_kd.data.prepare import Preparation, prepare
from sr_kd.data.sets import open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.files import atomic_path, check_folder, real_path, sweep_folder, temporary_folder, write_text
from sr_kd.images import Image, write_image

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="system: no pipes")
KILLED = """
import sys, time
from pathlib import Path
from sr_kd.files import temporary_folder

with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "network.onnx").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("linked", [False, True])
def test_a_device_or_a_pipe_is_never_replaced(tmp_path, linked, capsys):
    pipe, named = tmp_path / "pipe", tmp_path / "named.json"
    os.mkfifo(pipe)
    named.symlink_to(pipe) if linked else os.mkfifo(named)
    with pytest.raises(SrKdError, match="a device or a pipe, not a file"):
        write_text(named, "{}")
    assert main(["schema", "--output", str(named)]) == 2
    assert "a device or a pipe, not a file; name a file" in capsys.readouterr().err
    assert named.is_fifo() and pipe.is_fifo() and len(list(tmp_path.iterdir())) == 2


def test_a_pipe_beside_a_result_does_no_harm(tmp_path):
    os.mkfifo(tmp_path / "file")
    check_folder(tmp_path, "-o")
    write_text(tmp_path / "a.json", "{}")


def test_a_name_longer_than_the_system_allows_is_one_sentence(tmp_path):
    """Which of a folder of images fails alone."""
    with pytest.raises(SrKdError, match=r"cannot write .*: File name too long"), atomic_path(tmp_path / ("a" * 300)):
        pass


def test_a_killed_export_leaves_no_folder_after_the_next(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed, working = (subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        left, used = (Path(process.stdout.readline().strip()) for process in (killed, working))
        killed.kill()
        killed.wait()
        for folder in (left, used):
            os.utime(folder, (0, 0))
        with temporary_folder(tmp_path) as own:
            assert sorted(tmp_path.iterdir()) == sorted([own, used]), "one in work is left alone"
    finally:
        for process in (killed, working):
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()


def test_what_a_killed_run_left_is_swept_though_it_is_of_the_future(tmp_path):
    """As where a clock was wrong, and was set back."""
    left, new = tmp_path / ".a.sr_kd-abcdefgh.png", tmp_path / ".b.sr_kd-abcdefgh.png"
    for path in (left, new):
        path.touch()
    os.utime(left, (4e9, 4e9))
    sweep_folder(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


@pytest.mark.parametrize(
    "command",
    [
        ["prepare", "loop", "-o", "made"],
        ["prepare", "photos", "-o", "loop/made"],
        ["label", "-n", "fsrcnn_x2", "-i", "photos", "-o", "loop"],
        ["label", "-n", "fsrcnn_x2", "-i", "loop", "-o", "made"],
        ["evaluate", "-n", "bicubic", "-s", "2", "--hr", "loop"],
        ["evaluate", "-n", "bicubic", "-s", "2", "--hr", "photos", "--json", "loop/a.json"],
        ["upscale", "-n", "bicubic", "-s", "2", "-i", "photos", "-o", "loop"],
    ],
    ids=" ".join,
)
def test_links_that_go_in_a_circle_are_one_sentence(tmp_path, monkeypatch, capsys, command):
    """Python's own `Path.resolve` ends in a RuntimeError up to 3.12."""
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("other")
    Path("other").symlink_to("loop")
    write_image("photos/a.png", Image(np.zeros((48, 48, 3), np.uint8)))
    assert real_path("loop").name in ("loop", "other")
    assert main(command) in (1, 2)
    assert f"sr-kd {command[0]}: " in capsys.readouterr().err
    assert Path("loop").is_symlink() and not Path("made").exists()


@pytest.mark.parametrize("lmdb", [False, True])
@pytest.mark.parametrize("name", ["a\nb", "\r", "a\u2028b"])
def test_a_name_with_a_line_break_is_refused_before_a_list_of_images_is_made(tmp_path, name, lmdb):
    """The list could not be read again, and with it the LMDB."""
    write_image(tmp_path / "photos" / f"{name}.png", Image(np.zeros((48, 48, 3), np.uint8)))
    made = Preparation(open_set(str(tmp_path / "photos"), scale=2), (2,), tmp_path / "made", lmdb=lmdb)
    with pytest.raises(UsageError, match="has a line break, which a list of images cannot hold"):
        prepare(made, workers=0, quiet=True)
    assert not (tmp_path / "made").exists()
