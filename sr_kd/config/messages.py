"""What the schema refuses, in sentences for people."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import nearest
from .origin import KeyPath

MOST = 100  # problems that are told of one file
EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "none_required": "left out",
}
LIMITS = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "value_error": "{error}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of {max_length} entries",
    "missing": "a list with more entries",
}


def corrected(model: type[BaseModel], path: KeyPath) -> str | None:
    """The key that an unknown one probably stands for."""
    known = {key.lower(): key for key in _keys(model, path[:-1])}
    found = difflib.get_close_matches(str(path[-1]).lower(), known, n=1)
    return known[found[0]] if found else None


def explain(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """(path in the recipe, sentence about that key) for each refused key.

    Args:
        error: pydantic's.
        model: the schema that refused.
        data: what it was given.
    """
    expected: dict[KeyPath, list[str]] = {}
    for item in error.errors()[:MOST]:
        path = path_of(item["loc"], data)
        if item["type"] == "extra_forbidden":
            known = _keys(model, path[:-1])
            allowed = f"allowed: {', '.join(sorted(known))}"
            yield path, f"is unknown{nearest(str(path[-1]), known)}; {allowed}"
        elif item["type"] == "missing" and isinstance(item["loc"][-1], str):
            yield (*path, str(item["loc"][-1])), "is missing"
        elif item["loc"][-1] == "[key]":
            yield path, f"is unknown; allowed: {item['ctx']['expected']}"
        else:
            expected.setdefault(path, []).append(_expectation(dict(item)))
    for path, wanted in expected.items():
        if any(other != path and other[: len(path)] == path for other in expected):
            continue  # another member of a union went deeper and says more
        value = _value(path, data)
        plain = value is None or isinstance(value, bool)
        found = {None: "nothing", True: "true", False: "false"}[value] if plain else repr(value)
        hint = nearest(value, _literals(error, path, data)) if isinstance(value, str) else ""
        yield path, f"must be {' or '.join(dict.fromkeys(wanted))}; found {found}{hint}"


def _expectation(item: Mapping[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in LIMITS:
        return LIMITS[kind].format(**context)
    return EXPECTED.get(kind) or EXPECTED.get(kind.partition("_")[0]) or item["msg"]


def _literals(error: ValidationError, path: KeyPath, data: Mapping[str, Any]) -> list[str]:
    """The closed set that a value at this path was to be from."""
    return [
        name.strip("' ")
        for item in error.errors()
        if item["type"] == "literal_error" and path_of(item["loc"], data) == path
        for name in item["ctx"]["expected"].replace(" or ", ",").split(",")
    ]


def path_of(location: tuple[int | str, ...], data: Any) -> KeyPath:
    """The part of pydantic's location that is in the data; the rest names branches of unions."""
    path: KeyPath = ()
    for part in location:
        known = (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if known:
            data, path = data[part], (*path, part)
    return path


def _value(path: KeyPath, data: Any) -> Any:
    for part in path:
        data = data[part]
    return data


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that the section at this path may hold."""
    annotations: list[Any] = [model]
    for part in path:
        annotations = [inner for annotation in annotations for inner in _inside(annotation, part)]
    return [
        field.alias or name
        for annotation in annotations
        if isinstance(annotation, type) and issubclass(annotation, BaseModel)
        for name, field in annotation.model_fields.items()
    ]


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    """The types that a key or index of a value of this type may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias):
                yield from _members(field.annotation)
    elif typing.get_origin(annotation) in (list, dict):
        yield from _members(typing.get_args(annotation)[-1])


def _members(annotation: Any) -> list[Any]:
    """A union's members; any other type alone."""
    arguments = typing.get_args(annotation)
    unions = typing.get_origin(annotation) not in (None, list, dict, tuple)
    return [member for argument in arguments for member in _members(argument)] if unions else [annotation]
