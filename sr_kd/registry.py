"""Tables of pluggable classes. Built-ins are import paths, resolved when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Generic, TypeVar

from .errors import UsageError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind of class ("network", "loss").

    Args:
        kind: the word used in error messages.
        builtin: name -> ``"package.module:Class"``; nothing is imported until the name is used.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self._paths = dict(builtin)
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str, cls: type[T]) -> None:
        """Add a class under `name`. Raises UsageError if the name is taken by another class."""
        if name in self._paths or self._classes.get(name, cls) is not cls:
            raise UsageError(f"{self.kind} '{name}' is registered already; choose another name")
        self._classes[name] = cls

    def get(self, name: str) -> type[T]:
        """The class called `name`. Raises UsageError with the nearest name if there is none."""
        if name not in self._classes:
            if name not in self._paths:
                raise unknown_name(self.kind, name, self.names())
            module, _, attribute = self._paths[name].partition(":")
            self._classes[name] = getattr(import_module(module), attribute)
        return self._classes[name]

    def names(self) -> list[str]:
        """Every known name, sorted."""
        return sorted({*self._paths, *self._classes})
