"""Reading a YAML file and remembering the line of every key."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import yaml

from ..errors import UsageError, nearest
from .origin import KeyPath, dotted
from .recipe_files import find_option_file, packaged_recipes

MOST_BYTES = 2**17  # of a file
MOST_NODES = 5_000  # keys and values, everything that anchors repeat counted
DEEPEST = 50
LONGEST_NUMBER = 400  # characters
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
Place = Callable[[int], str]  # line number -> how a message names the place


class _LimitError(yaml.MarkedYAMLError):
    """Valid YAML, but more of it than an option file has."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that also takes ``1e-4``, ``1E5`` and ``-2e3`` for numbers.

    It stops where no option file goes: over a deep or an endless one it would take minutes.
    """

    _nodes = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if self._nodes > MOST_NODES or self._depth > DEEPEST:
            what = "nested too deeply" if self._depth > DEEPEST else f"more than {MOST_NODES:,} values"
            raise _LimitError(problem=f"{what} for an option file", problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Document:
    """An option file as written.

    Attributes:
        path: the file.
        data: its mapping; anchors and merge keys are worked out.
        places: path of a key -> "FILE:LINE".
    """

    path: Path
    data: dict[str, Any]
    places: dict[KeyPath, str]


def read_document(path: Path | str) -> Document:
    """Read an option file, or the packaged recipe of that name.

    Raises:
        UsageError: no such file (with the nearest one), no regular or too large a file, not text, not valid YAML,
            a key given twice.
    """
    path = find_option_file(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            what = f"has {status.st_size:,} bytes" if stat.S_ISREG(status.st_mode) else "is no file of its own"
            raise UsageError(f"{path} {what}; an option file is a text of at most {MOST_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(_missing(path)) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 text, as option files are; save the file as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    places: dict[KeyPath, str] = {(): f"{path}:1"}
    data = _parse(text, lambda line: f"{path}:{line}", places)
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"{type(data).__name__} {str(data)[:40]!r}"
        raise UsageError(f"{path}:1: an option file is a mapping of keys; found {found}")
    return Document(path, data, places)


def parse_value(text: str, source: str) -> Any:
    """A value written on the command line, read as YAML. Raises UsageError that names `source`."""
    return _parse(text, lambda _: source, {})


def _parse(text: str, place: Place, places: dict[KeyPath, str]) -> Any:
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        problems = list(islice(_malformed(node, place, (), count(1)), 50))
        if problems:
            raise UsageError("\n".join(problems))
        return _construct(loader, node, (), place, places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context or ""
        cure = "; indent with spaces" if "'\\t'" in problem else ""
        what = "" if isinstance(error, _LimitError) else "not valid YAML: "
        raise UsageError(f"{place(line)}: {what}{problem}{cure}") from None
    except RecursionError:
        raise UsageError(f"{place(1)}: nested too deeply for an option file") from None
    except (yaml.YAMLError, ValueError, LookupError, OverflowError) as error:
        reason = str(error).partition("\n")[0] if isinstance(error, yaml.YAMLError | ValueError) else "a damaged value"
        raise UsageError(f"{place(1)}: not valid YAML: {reason}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _malformed(
    node: yaml.Node, place: Place, above: tuple[yaml.Node, ...], nodes: Iterator[int], path: KeyPath = ()
) -> Iterator[str]:
    """What YAML allows and an option file does not: repeated keys, keys that are no text, endless anchors, numbers of
    any length. Raises UsageError as soon as `nodes`, which counts, says that there are too many."""
    if next(nodes) > MOST_NODES:
        line = node.start_mark.line + 1
        raise UsageError(f"{place(line)}: more than {MOST_NODES:,} values, with what anchors repeat")
    if isinstance(node, yaml.ScalarNode) and len(node.value) > LONGEST_NUMBER and node.tag in NUMBERS:
        yield f"{place(node.start_mark.line + 1)}: '{dotted(path)}' is a number of {len(node.value):,} characters"
    if isinstance(node, yaml.ScalarNode) and not _is_text(node.value, "surrogateescape"):  # bytes of a file's name
        yield f"{place(node.start_mark.line + 1)}: '{dotted(path)}' is no text: {node.value!r} holds half a character"
    if node in above:
        yield f"{place(node.start_mark.line + 1)}: the anchor of '{dotted(path)}' contains itself"
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _malformed(child, place, (*above, node), nodes, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            here = (*path, str(key.value))
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                yield f"{place(line)}: key {key.value!r} is not text: write it in quotes"
            elif not _is_text(key.value):
                yield f"{place(line)}: key {key.value!r} is no text: it holds half a character"
            elif key.value in lines:
                yield f"{place(line)}: key '{dotted(here)}' is given twice (first in line {lines[key.value]})"
            lines.setdefault(str(key.value), line)
            yield from _malformed(child, place, (*above, node), nodes, here)


def _is_text(value: str, errors: str = "strict") -> bool:
    """Whether it is UTF-8, which an escape such as ``\\ud800`` need not give."""
    try:
        value.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def _construct(loader: _Loader, node: yaml.Node, path: KeyPath, place: Place, places: dict[KeyPath, str]) -> Any:
    """Plain Python data; every alias is built anew, so that no two keys share a value."""
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, child in enumerate(node.value):
            places[(*path, index)] = place(child.start_mark.line + 1)
            items.append(_construct(loader, child, (*path, index), place, places))
        return items
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        data = {}
        for key, child in node.value:
            places[(*path, key.value)] = place(key.start_mark.line + 1)
            data[key.value] = _construct(loader, child, (*path, key.value), place, places)
        return data
    return loader.construct_object(node)


def _missing(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.glob("*.y*ml")]
    hint = nearest(path.name, siblings) or nearest(path.as_posix(), packaged_recipes())
    return f"there is no option file {path}{hint}; 'sr-kd recipes' lists the packaged ones"
