"""The promises of docs/reliability.md, each with a few cases; scripts/reliability does many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/environ").exists():
    pytest.skip("system: processes are looked at in /proc", allow_module_level=True)

CASES = {
    "fuzz_images": 150,
    "fuzz_metadata": 60,
    "fuzz_options": 20,
    "fuzz_overrides": 40,
    "fuzz_weights": 150,
    "fuzz_lmdbs": 150,
    "fuzz_states": 150,
    "crash_points": 50,
    "load_processes": 16,
}


def run_section(repository: Path, folder: Path, section: str, cases: int) -> dict[str, object]:
    """What a section counted."""
    program, state = repository / "scripts" / "reliability", folder / "state.json"
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    command = [sys.executable, program, section, "--cases", str(cases), "--seed", "7", "--state", state]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(state.read_text())[section]


@pytest.mark.slow
@pytest.mark.parametrize("section", CASES)
def test_no_promise_is_broken(repository, tmp_path, section):
    found = run_section(repository, tmp_path, section, CASES[section])
    assert found["cases"] >= CASES[section] and found["failures"] == []
    assert sum(found["outcomes"].values()) == found["cases"]


def test_the_guard_sees_what_a_file_must_not_cause(repository, tmp_path):
    program = """
import builtins, os, socket, subprocess, sys
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from guard import CANARY, Guard

guard = Guard(Path.cwd())
guard.watching = True
Path("inside.txt").write_text("allowed")
assert guard.take() == []
for act in (
    lambda: Path("../outside.txt").write_text("x"),
    lambda: os.mkdir("../folder"),
    lambda: os.rename("inside.txt", "../moved.txt"),
    lambda: socket.socket().connect(("127.0.0.1", 9)),
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
    lambda: setattr(builtins, CANARY, True),
):
    with suppress(OSError):
        act()
    assert len(guard.take()) >= 1
"""
    (tmp_path / "work").mkdir()
    script = repository / "scripts" / "reliability"
    done = subprocess.run(
        [sys.executable, "-c", program, script], cwd=tmp_path / "work", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
