"""Options through the schema: every problem at once, and what can be made of the rest, so that more can be checked."""

from __future__ import annotations

import copy
import logging
from typing import Any, TypeVar

from pydantic import ValidationError

from .document import Document
from .draft import Draft
from .messages import MOST, corrected, explain, path_of
from .origin import KeyPath, Origin, Problem
from .schema import OptionFile
from .section import Section

logger = logging.getLogger("sr_kd")
File = TypeVar("File", bound=OptionFile)
NAMED = ("networks", "phases", "validation_sets", "sets")  # sections whose entries are judged one by one
ROUNDS = 20  # each takes something out


def validated(document: Document, draft: Draft, schema: type[File]) -> tuple[File | None, list[Problem]]:
    """The option file, and all that is wrong with it (paths as written).

    Where something is wrong, the file lacks it and knows which of its sections are damaged. It is None
    where too little is left.
    """
    written = Origin(document.places)
    for path, notice in draft.notices:
        logger.warning("%s", written.sentence(path, notice))
    origin = Origin(document.places, draft.moved)
    problems = list(draft.problems)
    try:
        return schema.model_validate(draft.data).with_origin(origin), problems
    except ValidationError as error:
        problems += [(origin.written(path), problem) for path, problem in explain(error, schema, draft.data)]
    rest = _Rest(schema, draft)
    file = rest.validated()
    return (None if file is None else file.with_origin(origin, rest.damaged)), problems


class _Rest:
    """What is left of options once everything that the schema refuses is taken out."""

    def __init__(self, schema: type[Any], draft: Draft) -> None:
        self.schema, self.moved, self.data = schema, draft.moved, copy.deepcopy(draft.data)
        self.damaged: set[KeyPath] = set()

    def validated(self) -> Any:
        for _ in range(ROUNDS):
            try:
                return self.schema.model_validate(self.data)
            except ValidationError as error:
                found: dict[KeyPath, set[tuple[str, Any]]] = {}
                for item in error.errors()[:MOST]:
                    found.setdefault(path_of(item["loc"], self.data), set()).add((item["type"], item["loc"][-1]))
                missing = {str(last) for kind, last in found.pop((), ()) if kind == "missing"}
                if not all(map(self._stand_in, missing)):
                    return None
                # From the last to the first, so that entries of lists keep their numbers.
                numbers = {path: [part if isinstance(part, int) else -1 for part in path] for path in found}
                for path in sorted(found, key=numbers.__getitem__, reverse=True):
                    self._mend(path, found[path])
        return None

    def _mend(self, path: KeyPath, wrong: set[tuple[str, Any]]) -> None:
        """Take out a value, or the section around a missing one; an unknown key is taken for the nearest known one."""
        if wrong == {("missing", "total_iter")} and len(path) == 2:
            self.data["phases"][path[1]]["total_iter"] = 1  # the rest of the phase can be judged
            return
        unknown = {kind for kind, _ in wrong} == {"extra_forbidden"}
        *above, last = path
        section: Any = self.data
        for part in above:
            section = section[int(part)] if isinstance(section, list) else section.get(part, {})
        if isinstance(section, dict) and last not in section:
            return  # gone with another part of it
        if isinstance(section, list) and not isinstance(section[int(last)], dict):
            self._mend(tuple(above), wrong)
            return
        value = section.pop(last)
        if isinstance(section, list):
            for later in range(int(last), len(section)):
                self.moved[(*above, later)] = Origin(moved=self.moved).written((*above, later + 1))
        meant = corrected(self.schema, path) if unknown else None
        if meant is not None and meant not in section:
            section[meant] = value
        if not unknown and not (len(path) == 2 and isinstance(section, list)):
            self.damaged.add(path[:2] if path[0] in NAMED else path[:1] if path[0] == "train" else path)

    def _stand_in(self, key: str) -> bool:
        """Something in the place of a missing section or name."""
        annotation = self.schema.model_fields[key].annotation
        if key == "name":
            self.data[key] = "unnamed"
        elif isinstance(annotation, type) and issubclass(annotation, Section):
            self.data[key] = annotation.model_construct()
        elif key in NAMED or key == "models":
            self.data[key] = [] if key.endswith("sets") else {}
        else:
            return False
        self.damaged.add((key,))
        return True
