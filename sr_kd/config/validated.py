"""Options through the schema: every problem at once, and what can be made of the rest, so that more can be checked."""

from __future__ import annotations

import copy
import logging
from typing import Any, TypeVar

from pydantic import ValidationError

from .document import Document
from .draft import Draft
from .messages import corrected, explain, path_of
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
                # From the last to the first, so that entries of lists keep their numbers.
                found = {(path_of(item["loc"], self.data), item["type"], item["loc"][-1]) for item in error.errors()}
                for path, kind, last in sorted(found, key=lambda item: tuple(map(str, item[0])), reverse=True):
                    if kind == "missing" and not path and not self._stand_in(str(last)):
                        return None
                    if path[:1] == ("phases",) and len(path) == 2 and last == "total_iter" and kind == "missing":
                        self.data["phases"][path[1]]["total_iter"] = 1  # the rest of the phase can be judged
                    elif path:
                        self._take_out(path, kind)
        return None

    def _take_out(self, path: KeyPath, kind: str) -> None:
        *above, last = path
        section: Any = self.data
        for part in above:
            if not isinstance(section, dict | list) or (isinstance(section, dict) and part not in section):
                return  # taken out with something else
            section = section[part]  # type: ignore[index]
        if isinstance(section, list) and isinstance(last, int):
            for later in range(last + 1, len(section)):
                moved = Origin(moved=self.moved).written((*above, later))
                self.moved[(*above, later - 1)] = moved
            del section[last]
        elif isinstance(section, dict) and last in section:
            value = section.pop(last)
            meant = corrected(self.schema, path) if kind == "extra_forbidden" else None
            if meant is not None and meant not in section:
                section[meant] = value
        if kind != "extra_forbidden" and not (len(path) == 2 and isinstance(section, list)):
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
