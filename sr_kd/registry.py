"""Tables of pluggable classes. Built-ins are import paths, resolved when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from .errors import UsageError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind of class ("network", "loss").

    Args:
        kind: the word used in error messages.
        builtin: name -> ``"package.module:Class"``; nothing is imported until the name is used.
        families: prefix -> ``"package.module:function"``, which gives the class for ``Name`` in
            ``prefix.Name``: the classes of another package, wrapped when first asked for.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str], families: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._paths = dict(builtin)
        self._families = dict(families or {})
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str, cls: type[T]) -> None:
        """Add a class under `name`. Raises UsageError if the name is taken by another class."""
        if name in self._paths or self._classes.get(name, cls) is not cls:
            raise UsageError(f"{self.kind} '{name}' is registered already; choose another name")
        self._classes[name] = cls

    def get(self, name: str) -> type[T]:
        """The class called `name`. Raises UsageError with the nearest name if there is none."""
        if not isinstance(name, str):  # a part of a network: no schema has looked at its type
            raise UsageError(f"the type of a {self.kind} is a name, not {name!r}")
        if name not in self._classes:
            family, _, member = name.partition(".")
            if member and family in self._families:
                return _resolve(self._families[family])(member)
            if name not in self._paths:
                raise unknown_name(self.kind, name, [*self.names(), *(f"{family}.NAME" for family in self._families)])
            self._classes[name] = _resolve(self._paths[name])
        return self._classes[name]

    def names(self) -> list[str]:
        """Every known name, sorted."""
        return sorted({*self._paths, *self._classes})


def _resolve(path: str) -> Any:
    """What ``"package.module:name"`` stands for."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
