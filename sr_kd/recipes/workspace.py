"""Where a run's files are: BasicSR's layout, with one folder per phase and seed where there are several."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.schema import TrainingRecipe
from ..errors import SrKdError, UsageError
from ..files import write_text
from ..tasks.base import FinishedArm
from ..training.checkpoint import StateFolder
from .graph import arms, phases_before

logger = logging.getLogger("sr_kd")
PARTNER_FILE = "net_partner_latest.pth"
# How the images are read, and by how many processes, is for the machine to say: the patches are the same, as long as a
# step takes as many of them.
MACHINE_DEPENDENT = frozenset({"train.num_worker_per_gpu", "train.memory_budget", "train.batch_size_per_gpu"})
PLUGINS = "plugin code"
ARGUMENT = re.compile(r"^networks\.|\.losses\[")  # keys that are not known beforehand
BATCH = "train.batch_size_per_gpu times processes"


class Workspace:
    """``experiments/NAME/{models,training_states}``, ``tb_logger/NAME`` and ``results/NAME`` of a recipe.

    The first arm's first seed exports straight into ``models/``; every other phase and seed has a
    folder ``<phase>_seed<k>`` below it.
    """

    def __init__(self, recipe: TrainingRecipe) -> None:
        self.recipe = recipe
        self.root = Path(recipe.path.experiments_root) / recipe.name
        self.results = Path(recipe.path.results_root) / recipe.name
        self.tensorboard = Path(recipe.path.tb_root) / recipe.name
        self.log = self.root / f"train_{recipe.name}.log"

    def run_name(self, phase: str, seed: int) -> str:
        """The name of one phase's run: the phase, with the seed where the recipe has several."""
        return phase if len(self.recipe.seeds) == 1 else f"{phase}_seed{seed}"

    def models(self, phase: str, seed: int) -> Path:
        """Folder of the exported networks."""
        main = next(iter(arms(self.recipe).values()))
        folder = self.root / "models"
        return folder if (phase, seed) == (main, self.recipe.seeds[0]) else folder / self.run_name(phase, seed)

    def states(self, phase: str, seed: int) -> StateFolder:
        """The training states."""
        return StateFolder(
            self.root / "training_states" / self.run_name(phase, seed), self.recipe.logger.keep_checkpoints
        )

    def result(self, phase: str, seed: int) -> dict[str, Any] | None:
        """What `finish` wrote; None while the phase is not finished."""
        path = self.states(phase, seed).folder / "finished.json"
        if not path.exists():
            return None
        return _read_json(
            path, "remove it and run the recipe with --auto_resume: the phase ends anew from its last state"
        )

    def finish(self, phase: str, seed: int, result: dict[str, Any]) -> None:
        """Mark a phase as finished."""
        write_text(self.states(phase, seed).folder / "finished.json", json.dumps(result, indent=2))

    def unfinished_seeds(self) -> list[int]:
        """Seeds with a phase that is not finished."""
        return [
            seed for seed in self.recipe.seeds if any(self.result(phase, seed) is None for phase in self.recipe.phases)
        ]

    def prepare(self, resume: bool, shared: bool = False, processes: int = 1, images: Sequence[str] = ()) -> None:
        """Make the folder of a new run, or check that an existing one is of the same recipe.

        Without `resume`, an existing folder is renamed with a time stamp; nothing is overwritten. A `shared`
        one, in which other processes may be at work, is never renamed, and always resumed. The `images` (a line each)
        are recorded; where they differ from those that the run began with, a warning says so.

        Raises:
            UsageError: the recipe, or its batch over all `processes`, was changed since the run began, with the keys
                that differ.
        """
        record = self.root / "recipe.json"
        current = _comparable(self.recipe, processes)
        if record.exists() and (resume or shared):
            before = _flatten(_read_json(record, "leave out --auto_resume and --seeds to begin anew"))
            for file, digest in self.recipe.plugin_digests.items():
                if before.get(f"{PLUGINS}.{file}", digest) != digest:
                    logger.warning("plug-in %s was changed since this run began; what is finished stays as it is", file)
            changed = _changed(before, current)
            if changed:
                shown = "; ".join(f"{key}: {then} then, {now} now" for key, (then, now) in changed[:5])
                raise UsageError(
                    f"{self.root} was begun with other options ({shown}). "
                    "Give the recipe another name, or leave out --auto_resume and --seeds to begin anew"
                )
        elif not shared and self.root.exists() and any(self.root.iterdir()):
            stamp = time.strftime("%Y%m%d_%H%M%S")
            archived = self.root.with_name(f"{self.root.name}_archived_{stamp}")
            self.root.rename(archived)
            logger.warning("%s is now %s (--auto_resume would have gone on with it)", self.root, archived.name)
            if self.tensorboard.exists():
                self.tensorboard.rename(self.tensorboard.with_name(f"{self.tensorboard.name}_archived_{stamp}"))
        write_text(record, json.dumps(current, indent=2))
        self._record_images(images)

    def _record_images(self, images: Sequence[str]) -> None:
        record = self.root / "training_images.txt"
        try:
            before = record.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            write_text(record, "".join(f"{line}\n" for line in images))
            return
        added, gone = (
            [line for line in one if line not in set(other)] for one, other in ((images, before), (before, images))
        )
        if added or gone:
            logger.warning(
                "the training images are not those that %s began with (%s): %s; the batches from here on differ",
                self.root,
                record.name,
                "; ".join(f"{verb} {_some(lines)}" for verb, lines in (("now", added), ("then", gone)) if lines),
            )


def _some(lines: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(lines) - shown} more" if len(lines) > shown else ""
    return ", ".join(f"'{line}'" for line in lines[:shown]) + more


def finished_arms(workspace: Workspace) -> Iterator[FinishedArm]:
    """Every seed of every arm in order, partners beside their arms. Raises SrKdError for one that is not finished."""
    recipe = workspace.recipe
    for label, phase in arms(recipe).items():
        for seed in recipe.seeds:
            result, options = _finished(workspace, phase, seed), recipe.phases[phase]
            folder = workspace.models(phase, seed)
            cost = (_iterations(workspace, phase, seed), result.get("seconds_per_step"))
            yield FinishedArm(label, options.trains, seed, folder / "net_g_latest.pth", result["scores"], *cost)
            if options.partner is not None:
                file, scores = folder / PARTNER_FILE, result["partner"]
                yield FinishedArm(f"{label} (partner)", options.partner, seed, file, scores, *cost)


def _finished(workspace: Workspace, phase: str, seed: int) -> dict[str, Any]:
    result = workspace.result(phase, seed)
    if result is None:
        raise SrKdError(f"{workspace.run_name(phase, seed)} is not finished; run the recipe with --auto_resume")
    return result


def _iterations(workspace: Workspace, phase: str, seed: int) -> tuple[int, ...]:
    """Of every phase before this one, of what its losses train beforehand (if anything), and of itself."""
    recipe = workspace.recipe
    before = [_finished(workspace, name, seed)["iterations"] for name in phases_before(recipe, phase)]
    own = recipe.length(phase)
    pretraining = _finished(workspace, phase, seed)["iterations"] - own
    return (*before, *([pretraining] if pretraining else []), own)


def _comparable(recipe: TrainingRecipe, processes: int) -> dict[str, Any]:
    """The options that decide what is computed and where it lies, as dotted keys."""
    dump = recipe.model_dump(mode="json", by_alias=True)
    for free in ("seeds", "val", "logger", "path", "arms", "baseline", "validation_sets"):
        dump.pop(free)
    dump["first arm"] = next(iter(arms(recipe).values()))
    dump["first seed"] = recipe.seeds[0]
    dump["several seeds"] = len(recipe.seeds) > 1
    dump[PLUGINS] = recipe.plugin_digests
    flat = _flatten(dump)
    return {**flat, BATCH: flat.get("train.batch_size_per_gpu", 1) * processes}


def _changed(before: Mapping[str, Any], current: Mapping[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    """Keys with what they were and are. Phases and networks that only one of the two has may come and go.

    A key that the record does not have is a network's or loss' argument, or was introduced after the run began.
    The keys in `MACHINE_DEPENDENT` may change.
    """
    shared = {_section(key) for key in before} & {_section(key) for key in current}
    keys = [key for key in sorted({*before, *current}) if _section(key) in shared - {PLUGINS}]
    values = {key: tuple(repr(side[key]) if key in side else "nothing" for side in (before, current)) for key in keys}
    given = {key for key in keys if key in before or (ARGUMENT.search(key) and current.get(key) is not None)}
    compared = (key for key in keys if key in given - MACHINE_DEPENDENT)
    return [(key, (then, now)) for key in compared for then, now in [values[key]] if then != now]


def _section(key: str) -> str:
    """The phase or network that a dotted key belongs to; otherwise its first part."""
    first, *rest = key.split(".")
    return f"{first}.{rest[0]}" if rest and first in ("phases", "networks") else first


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise SrKdError(f"{path} is damaged; {remedy}")
    return content


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        flat: dict[str, Any] = {}
        for key, item in value.items():
            flat.update(_flatten(item, f"{prefix}.{key}" if prefix else str(key)))
        return flat
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return {
            key: each for index, item in enumerate(value) for key, each in _flatten(item, f"{prefix}[{index}]").items()
        }
    return {prefix: value}
