"""Where a result is put: never in the place of a device, and nothing of a killed run stays beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sr_kd.cli.main import main
from sr_kd.errors import SrKdError
from sr_kd.files import atomic_path, check_folder, temporary_folder, write_text

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
