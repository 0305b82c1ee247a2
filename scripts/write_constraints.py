#!/usr/bin/env python3
"""Writes constraints.txt: the versions, with SHA-256 of their archives, that pip chooses for this package here.

    python scripts/write_constraints.py [EXTRA...]      (default: the package alone)

Nothing is installed. Continuous integration installs by it: pip install --require-hashes -r constraints.txt, then the
package itself with --no-deps. The archives are those of one system and Python, which the file names.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirements(extras: Sequence[str]) -> list[str]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]


def main(extras: Sequence[str]) -> None:
    """Ask pip for its report, and write it in the form that pip reads."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    report = subprocess.run(
        [*command, "--quiet", "--report", "-", *requirements(extras)], check=True, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for package in json.loads(report.stdout)["install"]:
        archive = package["download_info"].get("archive_info", {}).get("hashes", {})
        name = f"{package['metadata']['name'].lower()}=={package['metadata']['version']}"
        lines.append(f"{name} --hash=sha256:{archive['sha256']}" if "sha256" in archive else name)
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    what = f"Chosen by pip on {where}; made by scripts/write_constraints.py"
    text = "\n".join([f"# {what} {' '.join(extras)}".rstrip(), *sorted(lines), ""])
    (ROOT / "constraints.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
