"""``--forbid-skips``, as continuous integration uses it, by running pytest on a file of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("reason", {reasons!r})
def test_skips(reason):
    pytest.skip(reason)
"""
ALLOWED = ["hardware: needs a CUDA device", "shared: needs the public images", "system: needs Linux"]


@pytest.mark.parametrize(
    ("reasons", "workers", "code"), [(ALLOWED, "0", 0), ([*ALLOWED, "needs scikit-learn"], "2", 1)]
)
def test_only_hardware_system_and_shared_may_be_missing(
    reasons: list[str], workers: str, code: int, tmp_path: Path
) -> None:
    for name in ("conftest.py", "command_server.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS.format(reasons=reasons))
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", workers, "--forbid-skips", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == code, finished.stdout
    forbidden = [line for line in finished.stdout.splitlines() if line.startswith("FORBIDDEN SKIP")]
    assert len(forbidden) == code
    assert all(line.endswith(": needs scikit-learn") for line in forbidden)
