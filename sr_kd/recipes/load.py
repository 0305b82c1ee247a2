"""Option files to recipes: read, overridden, brought into one layout, validated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config.dialect import is_test, test_draft, training_draft
from ..config.document import Document, read_document
from ..config.origin import Origin, Problem
from ..config.overrides import apply_overrides
from ..config.plugins import load_plugins
from ..config.schema import TrainingRecipe
from ..config.validated import validated
from ..errors import UsageError, nearest
from ..tasks import DEFAULT, TASKS
from ..tasks.super_resolution.options import TestRecipe
from .trial import trial


def load_recipe(path: Path | str, overrides: Sequence[str] = (), *, debug: bool = False) -> TrainingRecipe:
    """A training option file, ours or BasicSR's. Its plug-ins are loaded.

    `recipes.check.check_recipe` looks at what lies behind the options: networks, losses, taps, data.

    Args:
        path: the YAML file, or the name of a packaged recipe.
        overrides: ``a:b=value`` or ``a.b=value``, applied in order before validation.
        debug: a trial run under the name ``debug_NAME``: 8 iterations per phase, logged and validated all along.

    Raises:
        UsageError: everything wrong with the file, one line each, with file, line and key.
    """
    recipe, problems = parse_training(document := read_options(path, overrides))
    if recipe is None or problems:
        raise refusal(problems, document)
    return trial(recipe) if debug else recipe


def read_options(path: Path | str, overrides: Sequence[str] = ()) -> Document:
    """An option file with its overrides. A list of images that lies beside it is found from any working directory."""
    document = apply_overrides(read_document(path), overrides)
    sets = document.data.get("datasets")
    for options in sets.values() if isinstance(sets, dict) else ():
        listed = options.get("meta_info_file") if isinstance(options, dict) else None
        if isinstance(listed, str) and not Path(listed).is_file() and (document.path.parent / listed).is_file():
            options["meta_info_file"] = str(document.path.parent / listed)
    return document


def parse_training(document: Document) -> tuple[TrainingRecipe | None, list[Problem]]:
    """A recipe and what is wrong with it, as `config.validated.validated`. Its plug-ins are loaded first.

    Raises:
        UsageError: a file that describes a test.
    """
    if is_test(document.data):
        raise UsageError(f"{document.path} trains nothing (no 'phases', no 'train'): run it with 'sr-kd test'")
    digests, problems = _plugins(document)
    name = document.data.get("task", DEFAULT)
    if name not in TASKS.names():
        known = ", ".join(TASKS.names())
        problems.append((("task",), f"must be {known}; found {name!r}{nearest(str(name), TASKS.names())}"))
        name = None
    draft = training_draft(document.data)
    recipe, found = validated(document, draft, TASKS.get(name or DEFAULT).recipe)
    return (None if name is None or recipe is None else recipe.with_plugins(digests)), [*problems, *found]


def parse_test(document: Document) -> tuple[TestRecipe | None, list[Problem]]:
    """As `parse_training`, of a test."""
    if not is_test(document.data):
        raise UsageError(f"{document.path} is a training file: run it with 'sr-kd train'")
    _, problems = _plugins(document)
    recipe, found = validated(document, test_draft(document.data), TestRecipe)
    return recipe, [*problems, *found]


def refusal(problems: Sequence[Problem], document: Document) -> UsageError:
    """The problems (paths as written) as one error, a line each."""
    return UsageError(Origin(document.places).report(problems))


def _plugins(document: Document) -> tuple[dict[str, str], list[Problem]]:
    files = document.data.get("plugins")
    if not isinstance(files, list) or not all(isinstance(file, str) and file for file in files):
        return {}, []  # the schema says what is wrong
    try:
        return load_plugins(files, document.path.parent), []
    except UsageError as error:
        return {}, [(("plugins",), f"cannot be used: {error}")]
