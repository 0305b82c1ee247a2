"""The package as a whole."""

from __future__ import annotations

import sr_kd


def test_cli_reports_the_version(run_cli):
    finished = run_cli("--version")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == f"sr-kd {sr_kd.__version__}"
