"""The package as a whole: what importing it costs, which way its arrows point, what the project declares."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sr_kd
from sr_kd.cli.main import COMMANDS

PACKAGE = Path(sr_kd.__file__).parent
REPOSITORY = PACKAGE.parent
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)
HEAVY = {"torch", "torchvision", "basicsr", "numpy", "cv2", "pydantic", "skimage", "PIL"}

# What each room may import besides itself: design.md, "arrows point one way". The files beside the
# rooms (errors, files, registry...) are the ground floor: everyone may use them, they use one another.
BELOW = {
    "images": set(),
    "networks": set(),
    "data": {"images", "networks", "config"},
    "losses": {"networks", "data", "config"},
    "zoo": set(),
    "config": set(),
    "imaging": {"losses", "data", "images", "networks", "zoo"},
    "training": {"config", "losses", "data", "images", "networks"},
}
BELOW["evaluation"] = {"imaging", *BELOW["imaging"]}
BELOW["export"] = BELOW["interop"] = {"evaluation", *BELOW["evaluation"]}
BELOW["tasks"] = {"training", "evaluation", *BELOW["training"], *BELOW["evaluation"]}
BELOW["recipes"] = {"tasks", *BELOW["tasks"]}
BELOW["report"] = {"recipes", *BELOW["recipes"]}
BELOW["distillation"] = {"report", "export", *BELOW["report"], *BELOW["export"]}
BELOW["bench"] = {"report", "export", "interop", *BELOW["report"], *BELOW["export"]}
BELOW["cli"] = {"bench", "distillation", *BELOW["bench"]}
# Doors beside the rooms: thin modules that open the command line.
DOORS = {"__init__", "__main__", "train", "test"}


def _python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": options.pop("home", "/")},
        **options,
    )


def _imported_modules(path: Path) -> set[str]:
    """Absolute names of everything that a file of the package imports, at the top or inside a function."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    package = parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            # "from . import x" may name a module; "from .x import y" names x and perhaps the module x.y.
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


def _rooms(path: Path) -> set[str]:
    """The rooms of the package that a file imports from, its own left out."""
    own = path.relative_to(PACKAGE).parts[0]
    names = {name.split(".")[1] for name in _imported_modules(path) if name.startswith("sr_kd.")}
    return {name for name in names if name in BELOW and name != own}


def test_the_rooms_are_those_of_the_design():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(BELOW)


@pytest.mark.parametrize("room", sorted(BELOW))
def test_arrows_point_one_way(room):
    wrong = {
        f"{path.relative_to(PACKAGE)} imports {upper}"
        for path in (PACKAGE / room).rglob("*.py")
        for upper in _rooms(path) - BELOW[room]
    }
    assert not wrong


def test_the_ground_floor_imports_no_room():
    wrong = {
        f"{path.name} imports {room}"
        for path in PACKAGE.glob("*.py")
        if path.stem not in DOORS
        for room in _rooms(path)
    }
    assert not wrong


@pytest.mark.parametrize(
    ("foreign", "homes"),
    [
        ("basicsr", {"interop/basicsr.py"}),
        ("spandrel", {"networks/spandrel.py"}),
        ("torchvision", {"interop/basicsr.py", "tasks/detection/fcos.py"}),
    ],
)
def test_a_foreign_framework_is_imported_at_home_alone(foreign, homes):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == foreign for name in _imported_modules(path))
    }
    assert users <= homes


def test_import_and_help_are_light():
    code = f"""
import sys
import sr_kd
from sr_kd.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
heavy = sorted({HEAVY!r} & set(sys.modules))
print("heavy:", heavy)
"""
    finished = _python(code)
    assert finished.returncode == 0, finished.stderr
    assert "usage: sr-kd" in finished.stdout
    assert finished.stdout.rstrip().endswith("heavy: []")


def test_every_module_imports_without_side_effects(tmp_path):
    """In an empty folder: no files, no output, no warnings, and no basicsr even where it is installed."""
    modules = [name for name in MODULES if not name.endswith("__main__")]
    code = f"""
import importlib, sys, warnings
warnings.simplefilter("error")
import torch, numpy, cv2, skimage, pydantic
before = torch.get_num_threads(), torch.get_default_dtype(), torch.initial_seed()
for name in {modules!r}:
    importlib.import_module(name)
assert before == (torch.get_num_threads(), torch.get_default_dtype(), torch.initial_seed())
print(sorted({{"basicsr", "torchvision", "spandrel", "onnx", "onnxruntime"}} & set(sys.modules)))
"""
    finished = _python(code, cwd=tmp_path, home=str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert (finished.stdout, finished.stderr) == ("[]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_public_names_resolve():
    for name in sr_kd.__all__:
        assert getattr(sr_kd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = sr_kd.load_modle


def test_every_command_has_help(run_cli):
    for command in COMMANDS:
        finished = run_cli(command, "--help")
        assert finished.returncode == 0, finished.stderr
        assert f"usage: sr-kd {command}" in finished.stdout


def test_cli_reports_the_version(run_cli):
    finished = run_cli("--version")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == f"sr-kd {sr_kd.__version__}"


def test_the_project_declares_what_the_package_imports():
    """Every third-party import is a requirement or belongs to an extra."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.match(r"[\w.-]+", line).group() for line in lines}
    distribution_of = {"cv2": "opencv-python", "skimage": "scikit-image", "PIL": "pillow", "yaml": "PyYAML"}
    distribution_of |= {"sklearn": "scikit-learn", "litert_torch": "litert-torch", "ai_edge_litert": "ai-edge-litert"}
    third_party = {
        name.split(".")[0]
        for path in PACKAGE.rglob("*.py")
        for name in _imported_modules(path)
        if name and name.split(".")[0] not in {"sr_kd", *sys.stdlib_module_names}
    }
    missing = {name for name in third_party if distribution_of.get(name, name) not in declared}
    assert not missing


def test_citation_and_changelog_name_this_version():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    urls = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert f"version: {sr_kd.__version__}\n" in citation
    assert f"repository-code: {urls['Repository']}\n" in citation
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(sr_kd.__version__)} - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE)


def test_every_dependency_is_pinned_by_its_hash_and_listed_with_its_license(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = (repository / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    listed = (repository / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = [re.split(r"[\[><=; ]", each)[0] for each in project["dependencies"]]
    assert [
        name for name in names if not re.search(rf"^{name.lower()}==\S+ --hash=sha256:\w{{64}}$", pinned, re.M)
    ] == []
    extras = (each for extra, group in project["optional-dependencies"].items() if extra != "test" for each in group)
    names += [re.split(r"[\[><=; ]", each)[0] for each in extras]
    assert [name for name in names if name not in listed] == []
