"""The JSON schema of option files, for editors and for the option reference: from the same classes that validate.

It describes this package's own layout; BasicSR's, and keys of earlier versions, are accepted beside it.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.json_schema import models_json_schema

from ..config.phase import LossOptions, NetworkOptions
from ..losses.build import LOSSES
from ..networks.base import Color
from ..networks.build import NETWORKS
from ..registry import Registry
from ..signature import accepted
from ..tasks import DEFAULT, TASKS
from ..tasks.super_resolution.options import TestRecipe

Schema = dict[str, Any]
_REFERENCE = "#/$defs/{model}"
_NETWORK = {"$ref": _REFERENCE.format(model=NetworkOptions.__name__)}


def option_file_schema() -> Schema:
    """The schema (draft 2020-12) of training and test option files of every task."""
    recipes = {name: TASKS.get(name).recipe for name in [DEFAULT, *TASKS.names()]}
    models: list[type[BaseModel]] = [*recipes.values(), TestRecipe]
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    sections: dict[str, Schema] = document["$defs"]
    classes = {cls.__name__: cls for model in models for cls in _sections_of(model)}
    for name, section in sections.items():
        _describe(section, classes[name])
    for model in models:
        _gather_sets(sections[model.__name__])
    _add_types(sections[LossOptions.__name__], LOSSES, given=("pairs",))
    _add_types(sections[NetworkOptions.__name__], NETWORKS)
    schema: Schema = {"$ref": _REFERENCE.format(model=recipes[DEFAULT].__name__)}
    schema = _choice({"required": ["models"]}, TestRecipe, schema)
    for task, model in recipes.items():
        if task != DEFAULT:
            schema = _choice({"required": ["task"], "properties": {"task": {"const": task}}}, model, schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sr_kd option file",
        "type": "object",
        **schema,
        "$defs": sections,
    }


def type_options(registry: Registry[Any], name: str, given: tuple[str, ...] = ()) -> dict[str, Schema]:
    """Constructor argument -> schema (with default and description) of a registered class, without those `given`."""
    cls = registry.get(name)
    hints = typing.get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    described = documented(cls, "Args")
    options = {}
    for argument, parameter in accepted(cls).items():
        if argument in given:
            continue
        option = _hint_schema(hints.get(argument, Any))
        if argument in described:
            option["description"] = described[argument]
        if parameter.default is not parameter.empty and parameter.default is not None:
            option["default"] = TypeAdapter(Any).dump_python(parameter.default, mode="json")
        options[argument] = option
    if any("$ref" in option for option in options.values()):  # its parts inherit what they have in common
        shared = {"scale": int, "color": Color}
        options |= {name: {**_hint_schema(hint), "description": "of its parts"} for name, hint in shared.items()}
    return options


def summary(cls: type) -> str:
    """The first paragraph of a class' own docstring, as one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split())


def documented(cls: type, heading: str) -> dict[str, str]:
    """Name -> sentence, from the section ``Args:`` or ``Attributes:`` of the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if not base.__module__.startswith("pydantic.")]):
        _, _, section = inspect.cleandoc(base.__doc__ or "").partition(f"{heading}:\n")
        names: list[str] = []
        for line in section.splitlines():
            start = re.match(r"    ([\w, ]+): (.+)", line)
            if start:
                names = [name.strip() for name in start[1].split(",")]
                found |= dict.fromkeys(names, start[2])
            elif line.startswith("     ") and names:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            else:
                break
    return found


def _sections_of(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A section's class and those of the sections in it."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if isinstance(hint, type) and issubclass(hint, BaseModel) and hint not in found:
            found.add(hint)
            waiting += [field.annotation for field in hint.model_fields.values()]
    return found


def _describe(section: Schema, cls: type[BaseModel]) -> None:
    section["description"] = summary(cls)
    sentences = documented(cls, "Attributes")
    for name, field in cls.model_fields.items():
        option = section["properties"][field.alias or name]
        option.pop("title", None)
        if name in sentences:
            option["description"] = sentences[name]


def _gather_sets(section: Schema) -> None:
    """The schema's `train` and list of sets as they are written: ``datasets: {train, val, val_1, test_1}``."""
    options = section["properties"]
    required = set(section["required"])
    train = options.pop("train", None)
    sets = next(options.pop(name) for name in ("validation_sets", "sets") if name in options)
    datasets: Schema = {
        "type": "object",
        "description": "The sets of images: 'train', and any number of 'val', 'val_1', 'test_1'...",
        "patternProperties": {"^(val|test)(_.*)?$": sets["items"]},
        "additionalProperties": False,
    }
    if train:
        datasets |= {"properties": {"train": train}, "required": ["train"]}
    options["datasets"] = datasets
    section["required"] = sorted(required - {"train", "sets"} | {"datasets"})


def _add_types(section: Schema, registry: Registry[Any], given: tuple[str, ...] = ()) -> None:
    """What each registered type takes besides the section's own keys; types of plug-ins may take anything."""
    own = section["properties"]
    own["type"]["examples"] = registry.names()
    section["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "description": summary(registry.get(name)),
                "properties": {**dict.fromkeys(own, True), **type_options(registry, name, given)},
                "additionalProperties": False,
            },
        }
        for name in registry.names()
    ]


def _hint_schema(hint: Any) -> Schema:
    """The schema of a constructor's argument; a nested network is a section of its own."""
    if isinstance(hint, type) and hint.__module__.startswith(("torch.", "sr_kd.")):
        return dict(_NETWORK)
    try:
        return TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        return {}


def _choice(condition: Schema, model: type[BaseModel], otherwise: Mapping[str, Any]) -> Schema:
    return {"if": condition, "then": {"$ref": _REFERENCE.format(model=model.__name__)}, "else": dict(otherwise)}
