"""A run's own copy of its options, so that its folder alone tells what it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config.plugins import load_plugins
from ..config.recipe_files import find_option_file
from ..config.schema import TrainingRecipe
from ..errors import SrKdError, UsageError
from ..files import read_json, real_path, write_text
from ..tasks import DEFAULT, TASKS
from .load import load_recipe

FILE = "options.json"


@dataclass(frozen=True)
class Invocation:
    """How a run was started: the option file, and the whole command line as text."""

    option_file: str = ""
    command: str = ""


def write_invocation(folder: Path, recipe: TrainingRecipe, invocation: Invocation) -> None:
    """Write ``options.json`` into an experiment's folder: the options that were written, and how it was started."""
    options = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"name": recipe.name}
    base = str(real_path(find_option_file(invocation.option_file)).parent)
    content = {"command": invocation.command, "folder": base, "options": options}
    write_text(folder / FILE, json.dumps(content, indent=2))


def read_invocation(folder: Path) -> tuple[TrainingRecipe, Invocation]:
    """The recipe of an experiment's folder, wherever that lies now. Its plug-ins are loaded.

    Raises:
        UsageError: no experiment's folder.
        SrKdError: a damaged record.
    """
    path = folder / FILE
    if not path.is_file():
        raise UsageError(
            f"{folder} is no folder of a run: it has no {FILE}; name experiments/NAME, or the run's option file"
        )
    try:
        content = read_json(path, dict[str, Any])
        options = content["options"]
        recipe = TASKS.get(str(options.get("task", DEFAULT))).recipe.model_validate(options)
        base, invocation = Path(content["folder"]), Invocation(command=content["command"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise SrKdError(f"{path} is damaged; name the run's option file instead of its folder") from None
    recipe = recipe.with_plugins(load_plugins(recipe.plugins, base))
    return _moved(recipe, folder), invocation


def find_recipe(run: str | Path, overrides: tuple[str, ...] = ()) -> tuple[TrainingRecipe, Invocation]:
    """The recipe of a run, given its folder or its option file. Raises UsageError, SrKdError as above."""
    path = Path(run)
    if not path.is_dir():
        return load_recipe(path, overrides), Invocation(str(path))
    if overrides:
        raise UsageError(f"--force_yml goes with an option file; {path} has the options that it was run with")
    return read_invocation(path)


def _moved(recipe: TrainingRecipe, folder: Path) -> TrainingRecipe:
    """With the paths of the folder at hand: its relative results and logs lie where its experiments do."""
    paths = recipe.path
    depth = len(Path(paths.experiments_root).parts)
    base = folder.absolute().parents[depth] if len(folder.absolute().parents) > depth else Path()
    found = {"experiments_root": str(folder.absolute().parent)}
    for name in ("results_root", "tb_root"):
        root = Path(getattr(paths, name))
        found[name] = str(root if root.is_absolute() or Path(paths.experiments_root).is_absolute() else base / root)
    moved = recipe.model_copy(update={"path": paths.model_copy(update=found), "name": folder.absolute().name})
    return moved.with_origin(recipe.origin)
