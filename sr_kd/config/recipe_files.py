"""The option files that come with the package, found by name: in a clone, an editable installation or a wheel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import UsageError, nearest
from ..files import real_path, write_text

SCHEMA = "schema.json"  # at the root of the option files, for editors
_LISTS = re.compile(r"^ *meta_info_file: (\S+)$", re.MULTILINE)


def recipe_folder() -> Path:
    """The folder of the option files: inside an installed package, beside it in a clone."""
    package = Path(__file__).parent.parent
    installed = package / "options"
    return installed if installed.is_dir() else package.parent / "options"


def packaged_recipes() -> dict[str, Path]:
    """Name -> file, such as ``pisr/fsrcnn_x2_cpu`` (for training) and ``test/bicubic_x2``."""
    folder = recipe_folder()
    return dict(sorted((_name(file.relative_to(folder)), file) for file in folder.rglob("*.yml")))


def find_option_file(path: Path | str) -> Path:
    """The file itself where there is one, else the packaged recipe of that name, else the path as it was.

    Names may be written as in a clone, so ``options/train/pisr/fsrcnn_x2.yml`` works everywhere.

    >>> find_option_file("pisr/fsrcnn_x2_cpu").name
    'fsrcnn_x2_cpu.yml'
    """
    path = Path(path)
    return path if path.is_file() else packaged_recipes().get(_name(path), path)


def select_recipes(names: Sequence[str]) -> dict[str, Path]:
    """The packaged recipes that any of the names or patterns means; all of them for no names.

    Raises:
        UsageError: a name or pattern that means none, with the nearest name.
    """
    recipes = packaged_recipes()
    chosen: dict[str, Path] = {}
    for name in names or ["*"]:
        found = {known: file for known, file in recipes.items() if fnmatchcase(known, _name(Path(name)))}
        if not found:
            raise UsageError(f"no packaged recipe is called '{name}'{nearest(_name(Path(name)), recipes)}")
        chosen |= found
    return chosen


def copy_recipes(files: Iterable[Path], target: Path, *, overwrite: bool = False) -> list[Path]:
    """Copy option files, the lists of images that they name and the schema; every file keeps its place in the tree.

    Returns:
        The copied option files.

    Raises:
        UsageError: files that are there already and differ; nothing was copied.
    """
    folder = recipe_folder()
    copies = {file: target / file.relative_to(folder) for file in files}
    named = {file.parent / name for file in copies for name in _LISTS.findall(file.read_text(encoding="utf-8"))}
    companions = {real_path(path).relative_to(real_path(folder)) for path in named} | {Path(SCHEMA)}
    everything = copies | {folder / path: target / path for path in companions}
    texts = {copy: file.read_text(encoding="utf-8") for file, copy in everything.items()}
    changed = [copy for copy, text in texts.items() if copy.exists() and copy.read_bytes() != text.encode()]
    if changed and not overwrite:
        names = ", ".join(map(str, changed))
        raise UsageError(f"already there and different: {names}; choose another folder, or replace with --overwrite")
    for copy, text in texts.items():
        write_text(copy, text)
    return list(copies.values())


def describe_recipe_file(file: Path) -> str:
    """The first sentence of the comment at the top of an option file, or nothing."""
    words: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# yaml-language-server"):
            words.append(line.lstrip("# "))
    return " ".join(words).split(". ")[0].rstrip(".:")


def _name(path: Path) -> str:
    name = path.as_posix().removesuffix(".yaml").removesuffix(".yml")
    return name.removeprefix("options/").removeprefix("train/")
