"""The installation script on its short paths (the long one is the continuous integration itself)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = ("scripts/install.sh", "scripts/run_tests.sh", "scripts/quickstart.sh")
NOWHERE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
}


@pytest.fixture
def clone(tmp_path: Path, repository: Path) -> Path:
    """A copy of what the scripts look at, without an environment."""
    for name in (*SCRIPTS, "setup.py", "pyproject.toml", "sr_kd/__init__.py"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(repository / name, target)
    return tmp_path


def run(clone: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHON")}
    return subprocess.run(
        ["bash", str(clone / script)],
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_suitable_python_is_one_sentence(clone, script):
    finished = run(clone, script, PYTHON=shutil.which("false") or "/bin/false")
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr.startswith("install: error: Python 3.11 or newer is needed, and PYTHON=")
    assert finished.stderr.count("\n") == 1


@pytest.mark.slow
def test_no_network_is_one_sentence_and_leaves_no_finished_mark(clone):
    finished = run(clone, "scripts/install.sh", PYTHON=sys.executable, **NOWHERE)
    assert finished.returncode == 1
    assert "install: error: the package index could not be reached" in finished.stderr
    assert not list((clone / ".venv").glob("*.stamp"))


def test_a_broken_environment_is_one_sentence(clone):
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    finished = run(clone, "scripts/install.sh")
    assert finished.returncode == 1
    assert "no working Python 3.11 or newer; remove it" in finished.stderr


def test_a_finished_installation_is_recognized(clone):
    """Until something that decides what is installed changes."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    recipe = (clone / "setup.py", clone / "pyproject.toml", clone / "scripts/install.sh")
    stamp = subprocess.run(["cksum"], input=b"".join(path.read_bytes() for path in recipe), capture_output=True)
    (clone / ".venv" / "sr_kd-base.stamp").write_text(f"{stamp.stdout.decode().strip()} {clone}\n")

    finished = run(clone, "scripts/install.sh", **NOWHERE)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{python}\n", "")

    with (clone / "setup.py").open("a") as setup:
        setup.write("# changed\n")
    assert run(clone, "scripts/install.sh", **NOWHERE).returncode == 1
