"""Tables of pluggable parts. Built-ins are import paths, resolved when first asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from .errors import UsageError, in_words, unknown_name

T = TypeVar("T")
TASKS = "sr_kd.tasks"  # the package whose folders declare names of their own
GROUP = "sr_kd.plugins"  # entry points of installed packages: functions that register parts
logger = logging.getLogger("sr_kd")


class Registry(Generic[T]):
    """Names of one kind of part ("network", "loss", "metric", "task").

    What installed packages offer as entry points of the group ``sr_kd.plugins`` is registered when a name is
    asked for that is not known yet, or all of them are.

    Args:
        kind: the word used in error messages.
        builtin: name -> ``"package.module:name"``; nothing is imported until the name is used.
        declared: name of a mapping like `builtin` that the package of any task may have; its names count, too.
        families: prefix -> ``"package.module:function"``, which gives the part for ``Name`` in
            ``prefix.Name``: the classes of another package, wrapped when first asked for.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str],
        families: Mapping[str, str] | None = None,
        declared: str | None = None,
    ) -> None:
        self.kind = kind
        self._builtin, self._declared = dict(builtin), declared
        self._families = dict(families or {})
        self._parts: dict[str, T] = {}

    def register(self, name: str, part: T) -> None:
        """Add a part under `name`. Raises UsageError if the name is taken by another one."""
        if name in self._paths or self._parts.get(name, part) is not part:
            raise UsageError(f"{self.kind} '{name}' is registered already; choose another name")
        self._parts[name] = part

    def get(self, name: str) -> T:
        """The part called `name`. Raises UsageError with the nearest name if there is none."""
        if not isinstance(name, str):  # a part of a network: no schema has looked at its type
            raise UsageError(f"the type of a {self.kind} is a name, not {name!r}")
        if name not in self._parts:
            family, _, member = name.partition(".")
            if member and family in self._families:
                return _resolve(self._families[family])(member)
            if name in self._paths:
                self._parts[name] = _resolve(self._paths[name])
            elif name not in self.names():
                raise unknown_name(self.kind, name, [*self.names(), *(f"{family}.NAME" for family in self._families)])
        return self._parts[name]

    def names(self) -> list[str]:
        """Every known name, sorted; members of families are not among them."""
        _register_installed()
        return sorted({*self._paths, *self._parts})

    @cached_property
    def _paths(self) -> dict[str, str]:
        if self._declared is None:
            return self._builtin
        folders = iter_modules(import_module(TASKS).__path__, f"{TASKS}.")
        declared = [getattr(import_module(folder.name), self._declared, {}) for folder in folders if folder.ispkg]
        return self._builtin | {name: path for names in declared for name, path in names.items()}


@cache
def _installed() -> list[EntryPoint]:
    """Entry points that were not called yet."""
    return list(entry_points(group=GROUP))


def _register_installed() -> None:
    """Call what installed packages offer, once. One that fails is left out with a warning."""
    while pending := _installed():
        entry = pending.pop()
        try:
            entry.load()()
        except (Exception, SystemExit) as error:  # another package may fail in any way
            logger.warning("plug-in %s was left out: %s", entry.value, in_words(error))


def _resolve(path: str) -> Any:
    """What ``"package.module:name"`` stands for."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
