"""Option files to recipes: read, overridden, brought into one layout, validated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..errors import UsageError
from .dialect import is_test, test_draft, training_draft
from .document import Document, read_document
from .draft import Draft
from .messages import sentences
from .origin import Origin
from .overrides import apply_overrides
from .plugins import load_plugins
from .schema import Recipe, TestRecipe

logger = logging.getLogger("sr_kd")
AnyRecipe = TypeVar("AnyRecipe", Recipe, TestRecipe)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """A training option file, ours or BasicSR's. Its plug-ins are loaded.

    `config.check.check_recipe` looks at what lies behind the options: networks, losses, taps, data.

    Args:
        path: the YAML file.
        overrides: ``a:b=value`` or ``a.b=value``, applied in order before validation.

    Raises:
        UsageError: everything wrong with the file, one line each, with file, line and key.
    """
    document = apply_overrides(read_document(path), overrides)
    if is_test(document.data):
        raise UsageError(f"{path} trains nothing (no 'phases', no 'train'): run it with 'sr-kd test'")
    recipe = _validated(document, training_draft(document.data), Recipe)
    load_plugins(recipe.plugins, document.path.parent)
    return recipe


def load_test_recipe(path: Path | str, overrides: Sequence[str] = ()) -> TestRecipe:
    """A test option file, ours or BasicSR's. Arguments and errors as in `load_recipe`."""
    document = apply_overrides(read_document(path), overrides)
    if not is_test(document.data):
        raise UsageError(f"{path} is a training file: run it with 'sr-kd train'")
    return _validated(document, test_draft(document.data), TestRecipe)


def load_any(path: Path | str, overrides: Sequence[str] = ()) -> Recipe | TestRecipe:
    """A training or test option file, whichever it is."""
    data = apply_overrides(read_document(path), overrides).data
    return load_test_recipe(path, overrides) if is_test(data) else load_recipe(path, overrides)


def _validated(document: Document, draft: Draft, schema: type[AnyRecipe]) -> AnyRecipe:
    written = Origin(document.places)
    for path, notice in draft.notices:
        logger.warning("%s", written.sentence(path, notice))
    origin = Origin(document.places, draft.moved)
    problems = [written.sentence(path, problem) for path, problem in draft.problems]
    try:
        recipe = schema.model_validate(draft.data)
    except ValidationError as error:
        problems += sentences(error, schema, draft.data, origin)
    if problems:
        raise UsageError("\n".join(problems))
    return recipe.with_origin(origin)
