"""What pyproject.toml cannot say: the packages with their recipes, and a README whose links work on a package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
REPOSITORY = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
README = (HERE / "README.md").read_text(encoding="utf-8")

setup(
    packages=[*find_packages(include=["sr_kd", "sr_kd.*"]), "sr_kd.options"],
    long_description=re.sub(r"\]\((?!https?:|#)", f"]({REPOSITORY}/blob/main/", README),
    long_description_content_type="text/markdown",
)
