"""The options in which arms, or runs, differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..recipes.graph import arms
from ..recipes.record import flatten
from .data import OptionRow, OptionTable
from .run import Run, run_titles

LEFT_OUT = ("path", "plugins")


def option_tables(runs: Sequence[Run]) -> list[OptionTable]:
    """What the arms of each run, and the runs, do differently; tables without a row are left out."""
    tables, names = [], run_titles(runs)
    for run, name in zip(runs, names, strict=True):
        title = "Arms" if len(runs) == 1 else f"Arms of {name}"
        found = {label: _phase(run, phase) for label, phase in arms(run.recipe).items()}
        tables.append(_differences(title, found))
    if len(runs) > 1:
        tables.append(_differences("Runs", {name: _whole(run) for run, name in zip(runs, names, strict=True)}))
    return [table for table in tables if table.rows]


def _phase(run: Run, phase: str) -> dict[str, str]:
    options = run.recipe.phases[phase]
    dumped = options.model_dump(mode="json", by_alias=True)
    network = run.recipe.networks[options.trains].model_dump(mode="json", by_alias=True)
    return _texts(dumped | {"network": network})


def _whole(run: Run) -> dict[str, str]:
    dumped = run.recipe.model_dump(mode="json", by_alias=True)
    return _texts({key: value for key, value in dumped.items() if key not in LEFT_OUT})


def _differences(title: str, columns: Mapping[str, Mapping[str, str]]) -> OptionTable:
    keys = dict.fromkeys(key for options in columns.values() for key in options)
    rows = (OptionRow(key, tuple(options.get(key, "") for options in columns.values())) for key in keys)
    return OptionTable(title, tuple(columns), tuple(row for row in rows if len(set(row.values)) > 1))


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in flatten(options).items()}


def _text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
