"""Option files to recipes: read, overridden, brought into one layout, validated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..config.dialect import is_test, test_draft, training_draft
from ..config.document import Document, read_document
from ..config.draft import Draft
from ..config.messages import explain
from ..config.origin import Origin
from ..config.overrides import apply_overrides
from ..config.plugins import load_plugins
from ..config.schema import TrainingRecipe
from ..errors import UsageError
from ..tasks.classification.options import ClassificationRecipe
from ..tasks.detection.options import DetectionRecipe
from ..tasks.super_resolution.options import SuperResolutionRecipe, TestRecipe
from .trial import trial

logger = logging.getLogger("sr_kd")
RECIPES: dict[str, type[TrainingRecipe]] = {
    "super_resolution": SuperResolutionRecipe,
    "classification": ClassificationRecipe,
    "detection": DetectionRecipe,
}
AnyRecipe = TypeVar("AnyRecipe", bound=TrainingRecipe | TestRecipe)


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
    document = _read(path, overrides)
    if is_test(document.data):
        raise UsageError(f"{path} trains nothing (no 'phases', no 'train'): run it with 'sr-kd test'")
    schema = RECIPES.get(str(document.data.get("task")), SuperResolutionRecipe)
    recipe: TrainingRecipe = _validated(document, training_draft(document.data), schema)
    recipe = recipe.with_plugins(_plugins(recipe, document))
    return trial(recipe) if debug else recipe


def load_test_recipe(path: Path | str, overrides: Sequence[str] = ()) -> TestRecipe:
    """A test option file, ours or BasicSR's. Arguments and errors as in `load_recipe`."""
    document = _read(path, overrides)
    if not is_test(document.data):
        raise UsageError(f"{path} is a training file: run it with 'sr-kd train'")
    recipe = _validated(document, test_draft(document.data), TestRecipe)
    _plugins(recipe, document)
    return recipe


def load_any(path: Path | str, overrides: Sequence[str] = ()) -> TrainingRecipe | TestRecipe:
    """A training or test option file, whichever it is."""
    data = _read(path, overrides).data
    return load_test_recipe(path, overrides) if is_test(data) else load_recipe(path, overrides)


def _read(path: Path | str, overrides: Sequence[str]) -> Document:
    """The file with its overrides. A list of images that lies beside it is found from any working directory."""
    document = apply_overrides(read_document(path), overrides)
    sets = document.data.get("datasets")
    for options in sets.values() if isinstance(sets, dict) else ():
        listed = options.get("meta_info_file") if isinstance(options, dict) else None
        if isinstance(listed, str) and not Path(listed).is_file() and (document.path.parent / listed).is_file():
            options["meta_info_file"] = str(document.path.parent / listed)
    return document


def _plugins(recipe: TrainingRecipe | TestRecipe, document: Document) -> dict[str, str]:
    try:
        return load_plugins(recipe.plugins, document.path.parent)
    except UsageError as error:
        raise UsageError(recipe.origin.report([(("plugins",), f"cannot be used: {error}")])) from error


def _validated(document: Document, draft: Draft, schema: type[AnyRecipe]) -> AnyRecipe:
    origin = Origin(document.places, draft.moved)
    written = Origin(document.places)
    for path, notice in draft.notices:
        logger.warning("%s", written.sentence(path, notice))
    problems = draft.problems
    try:
        recipe = schema.model_validate(draft.data)
    except ValidationError as error:
        problems += [(origin.written(path), problem) for path, problem in explain(error, schema, draft.data)]
    if problems:
        raise UsageError(written.report(problems))
    return recipe.with_origin(origin)  # type: ignore[return-value]
