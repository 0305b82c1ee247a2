"""Arguments from option files, checked against a constructor's signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import UsageError, nearest


class OptionError(UsageError):
    """What is wrong with the options of one thing.

    Args:
        problems: (the option, after those it is nested in; the sentence about it).
    """

    def __init__(self, problems: Sequence[tuple[tuple[str, ...], str]]) -> None:
        super().__init__("; ".join(problem for _, problem in problems))
        self.problems = list(problems)


def accepted(cls: type) -> dict[str, inspect.Parameter]:
    """The named constructor parameters of a class, without ``self``."""
    parameters = inspect.signature(cls).parameters
    return {name: value for name, value in parameters.items() if value.kind is not value.VAR_KEYWORD}


def check_arguments(kind: str, cls: type, arguments: Mapping[str, Any], given: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arguments, converted to the types the constructor declares.

    Args:
        kind: what is built, for the message ("network FSRCNN").
        arguments: as read from an option file.
        given: parameters that the caller supplies itself.

    Raises:
        OptionError: every unknown, missing or ill-typed argument, with the nearest and the allowed names.
    """
    known = {name: value for name, value in accepted(cls).items() if name not in given}
    problems = [
        ((name,), f"{kind} has no option '{name}'{nearest(name, known)}; known: {', '.join(sorted(known))}")
        for name in arguments
        if name not in known
    ]
    hints = typing.get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    checked = {}
    for name, parameter in known.items():
        if name in arguments:
            hint = hints.get(name, Any)
            # Pydantic takes a config for plain types only; our classes among the hints need one.
            config = None if hasattr(hint, "__pydantic_config__") else ConfigDict(arbitrary_types_allowed=True)
            adapter = TypeAdapter(hint, config=config)
            try:
                checked[name] = adapter.validate_python(arguments[name])
            except ValidationError as error:
                problem = " or ".join(dict.fromkeys(entry["msg"] for entry in error.errors()))
                problems.append(((name,), f"{kind}, option '{name}': {problem}; found {arguments[name]!r}"))
        elif parameter.default is parameter.empty:
            problems.append(((name,), f"{kind} needs the option '{name}'"))
    if problems:
        raise OptionError(problems)
    return checked
