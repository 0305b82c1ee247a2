"""The options that a run was begun with, and what of them was changed since."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, NonNegativeFloat

from ..config.schema import TrainingRecipe
from ..files import file_sha256, read_json, write_text
from .graph import arms

logger = logging.getLogger("sr_kd")
# How the images are read, and by how many processes, is for the machine to say: the patches are the same, as long as a
# step takes as many of them.
MACHINE_DEPENDENT = frozenset({"train.num_worker_per_gpu", "train.memory_budget", "train.batch_size_per_gpu"})
PLUGINS = "plugin code"
ARGUMENT = re.compile(r"^networks\.|\.losses\[")  # keys that are not known beforehand
BATCH = "train.batch_size_per_gpu times processes"
# What may change in a phase that goes on: all but whom it trains, by whom it is taught, and where it begins.
CONTINUABLE = re.compile(r"^phases\.([^.]+)\.(?!trains|needs|teacher$|partner|init)")


WholeNumber = Annotated[int, Field(ge=0, lt=2**53)]


class Change(BaseModel):
    """Other options, with which a phase went on (--continue_with)."""

    iteration: WholeNumber
    changes: tuple[str, ...]


class FinishedPhase(BaseModel, extra="allow"):
    """The content of ``finished.json``: what a phase needed and reached, and the SHA-256 of its networks."""

    iterations: WholeNumber
    scores: dict[str, dict[str, float | None]]
    networks: dict[str, str]
    partner: dict[str, dict[str, float | None]] | None = None
    pretraining: WholeNumber = 0
    seconds_per_step: NonNegativeFloat | None = None
    skipped_steps: WholeNumber = 0
    history: tuple[Change, ...] = ()


def comparable(recipe: TrainingRecipe, processes: int) -> dict[str, Any]:
    """The options that decide what is computed and where it lies, as dotted keys."""
    dump = recipe.model_dump(mode="json", by_alias=True)
    for free in ("seeds", "val", "logger", "path", "arms", "baseline", "validation_sets"):
        dump.pop(free)
    dump["first arm"] = next(iter(arms(recipe).values()))
    dump["first seed"] = recipe.seeds[0]
    dump["several seeds"] = len(recipe.seeds) > 1
    dump[PLUGINS] = recipe.plugin_digests
    flat = flatten(dump)
    sums = {name: recipe.length(name) for name, phase in recipe.phases.items() if isinstance(phase.total_iter, str)}
    flat |= {f"phases.{name}.total_iter as a number": length for name, length in sums.items()}
    return {**flat, BATCH: flat.get("train.batch_size_per_gpu", 1) * processes}


def changes(before: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, str]:
    """Key -> what it was and is, in words. Phases and networks that only one of the two has may come and go.

    A key that the record does not have is a network's or loss' argument, or was introduced after the run began.
    The keys in `MACHINE_DEPENDENT` may change.
    """
    shared = {_section(key) for key in before} & {_section(key) for key in current}
    keys = [key for key in sorted({*before, *current}) if _section(key) in shared - {PLUGINS}]
    values = {key: tuple(repr(side[key]) if key in side else "nothing" for side in (before, current)) for key in keys}
    given = {key for key in keys if key in before or (ARGUMENT.search(key) and current.get(key) is not None)}
    compared = (key for key in keys if key in given - MACHINE_DEPENDENT)
    return {key: f"{then} then, {now} now" for key in compared for then, now in [values[key]] if then != now}


def _section(key: str) -> str:
    """The phase or network that a dotted key belongs to; otherwise its first part."""
    first, *rest = key.split(".")
    return f"{first}.{rest[0]}" if rest and first in ("phases", "networks") else first


def read_record(path: Path) -> dict[str, Any]:
    """What a JSON file of a run holds; empty if it is missing or damaged."""
    try:
        return dict(read_json(path, dict[str, Any]))
    except (OSError, ValueError):
        return {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file; empty if it cannot be read, or is a pipe or the like."""
    if not path.is_file():
        return ""
    try:
        return file_sha256(path)
    except OSError:
        return ""


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """A tree of mappings and lists of mappings as one mapping with dotted keys."""
    if isinstance(value, dict) and value:
        flat: dict[str, Any] = {}
        for key, item in value.items():
            flat.update(flatten(item, f"{prefix}.{key}" if prefix else str(key)))
        return flat
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return {
            key: each for index, item in enumerate(value) for key, each in flatten(item, f"{prefix}[{index}]").items()
        }
    return {prefix: value}


def record_images(record: Path, images: Sequence[str]) -> None:
    """Keep a list of the training images; where there is one already, warn of what differs from it."""
    before = None
    with suppress(OSError, ValueError):
        before = record.read_text(encoding="utf-8").splitlines() if record.is_file() else None
    if before is None:
        write_text(record, "".join(f"{line}\n" for line in images))
        return
    added, gone = (
        [line for line in one if line not in set(other)] for one, other in ((images, before), (before, images))
    )
    if added or gone:
        logger.warning(
            "the training images are not those that %s began with (%s): %s; the batches from here on differ",
            record.parent,
            record.name,
            "; ".join(f"{verb} {_some(lines)}" for verb, lines in (("now", added), ("then", gone)) if lines),
        )


def _some(lines: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(lines) - shown} more" if len(lines) > shown else ""
    return ", ".join(f"'{line}'" for line in lines[:shown]) + more
