"""Processes that upscale into one folder with --skip-existing: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import PIL.Image
import pytest
import skimage.data

from sr_kd.files import claim
from sr_kd.imaging.folder import upscale_files
from sr_kd.imaging.jobs import Naming, plan_jobs
from sr_kd.imaging.upscaler import Upscaler

HOLDER = """
import os, sys
from pathlib import Path
from sr_kd.files import atomic_path, claim

with claim(Path(sys.argv[1])) as alone:
    assert alone
    print("held", flush=True)
    if sys.stdin.readline().strip() == "write":
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_bytes(b"by another process")
"""


@pytest.fixture
def holder(tmp_path, repository):
    """Another process that has claimed a result of ours."""
    (tmp_path / "in").mkdir()
    for index in range(3):
        PIL.Image.fromarray(skimage.data.astronaut()[:20, :30]).save(tmp_path / "in" / f"{index}.png")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out" / "1.png")]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def upscaled(folder: Path, told: list[str]) -> list[str]:
    jobs = plan_jobs([str(folder / "in")], str(folder / "out"), Naming())
    outcomes = upscale_files(
        Upscaler(None, device="cpu"), jobs, quiet=True, skip_existing=True, report=lambda done: told.append(done.status)
    )
    return [outcome.status for outcome in outcomes]


@pytest.mark.parametrize(("ending", "expected"), [("write", "skipped"), ("give up", "done"), ("killed", "done")])
def test_what_another_process_is_at_is_waited_for(holder, tmp_path, ending, expected):
    found: list[str] = []
    told: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(upscaled(tmp_path, told)))
    thread.start()
    while len(told) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    assert thread.is_alive() and not (tmp_path / "out" / "1.png").exists()
    if ending == "killed":
        holder.kill()
    else:
        holder.communicate(f"{ending}\n")
    thread.join(10)
    assert found == ["done", expected, "done"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    if ending == "write":
        assert (tmp_path / "out" / "1.png").read_bytes() == b"by another process"


def test_a_claim_ends_with_its_block(tmp_path):
    path = tmp_path / "made" / "a.png"
    with claim(path) as first, claim(path) as second:
        assert (first, second) == (True, False)
    with claim(path) as again:
        assert again
    assert list((tmp_path / "made").iterdir()) == []


def test_results_that_are_removed_meanwhile_are_failures(tmp_path):
    """Such as the whole folder of them, while the last image is in work."""
    (tmp_path / "in").mkdir()
    for index in range(2):
        PIL.Image.fromarray(skimage.data.astronaut()[:20, :30]).save(tmp_path / "in" / f"{index}.png")
    jobs = plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"), Naming())
    said = []

    def report(outcome):
        said.append(outcome.status)
        if len(said) == 2:
            shutil.rmtree(tmp_path / "out")

    outcomes = upscale_files(Upscaler(None, device="cpu"), jobs, quiet=True, report=report)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert "was removed meanwhile" in str(outcomes[0].error)
    assert said == ["done", "done", "failed", "failed"]
