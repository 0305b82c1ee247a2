"""Where a run's files are: BasicSR's layout, with one folder per phase and seed where there are several."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config.schema import TrainingRecipe
from ..errors import SrKdError, UsageError
from ..files import read_json, sweep_tree, write_text
from ..tasks.base import FinishedArm
from ..training.checkpoint import StateFolder
from .graph import arms, phases_before
from .record import (
    CONTINUABLE,
    PLUGINS,
    FinishedPhase,
    changes,
    comparable,
    file_digest,
    flatten,
    read_record,
    record_images,
)

logger = logging.getLogger("sr_kd")
NETWORK_FILE, PARTNER_FILE, FINISHED = "net_g_latest.pth", "net_partner_latest.pth", "finished.json"


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
        """What `finish` wrote; None while the phase is not finished.

        Neither is one whose record or networks were damaged since, if it can end anew from its last state.

        Raises:
            SrKdError: it cannot.
        """
        states = self.states(phase, seed)
        path = states.folder / FINISHED
        if not path.exists():
            return None
        damaged = str(path)
        with suppress(OSError, ValueError):
            found: FinishedPhase = read_json(path, FinishedPhase)
            models, digests = self.models(phase, seed), {NETWORK_FILE: "", **found.networks}
            changed = [name for name, digest in digests.items() if not digest or file_digest(models / name) != digest]
            if not changed:
                return found.model_dump(exclude_unset=True)
            damaged = str(models / changed[0])
        remedy = f"{self.run_name(phase, seed)} ends anew from its last state"
        if not states.iterations():
            raise SrKdError(
                f"{damaged} is damaged, and there is no state to end anew from; remove {path} to begin anew"
            )
        logger.warning("%s is damaged: %s (by --auto_resume)", damaged, remedy)
        return None

    def finish(self, phase: str, seed: int, result: dict[str, Any]) -> None:
        """Mark a phase as finished; its networks are known by their SHA-256 from then on."""
        models = self.models(phase, seed)
        files = [NETWORK_FILE, PARTNER_FILE] if "partner" in result else [NETWORK_FILE]
        content = {**result, "networks": {name: file_digest(models / name) for name in files}}
        write_text(self.states(phase, seed).folder / FINISHED, json.dumps(content, indent=2))

    def unfinished_seeds(self) -> list[int]:
        """Seeds with a phase that is not finished."""
        return [
            seed for seed in self.recipe.seeds if any(self.result(phase, seed) is None for phase in self.recipe.phases)
        ]

    def prepare(
        self,
        resume: bool,
        shared: bool = False,
        processes: int = 1,
        images: Sequence[str] = (),
        continue_with: bool = False,
    ) -> None:
        """Make the folder of a new run, or check that an existing one is of the same recipe.

        Without `resume`, an existing folder is renamed with a time stamp; nothing is overwritten. A `shared`
        one, in which other processes may be at work, is never renamed, and always resumed. The `images` (a line each)
        are recorded; where they differ from those that the run began with, a warning says so.

        Args:
            continue_with: phases go on with other options than before.

        Raises:
            UsageError: the recipe, or its batch over all `processes`, was changed since the run began, with the keys
                that differ.
        """
        record = self.root / "recipe.json"
        current = comparable(self.recipe, processes)
        before = self._begun_with(record) if resume or shared else None
        if before is not None:
            for file, digest in self.recipe.plugin_digests.items():
                if before.get(f"{PLUGINS}.{file}", digest) != digest:
                    logger.warning("plug-in %s was changed since this run began; what is finished stays as it is", file)
            self._check_changes(changes(before, current), continue_with)
        elif not shared and self.root.exists() and any(self.root.iterdir()):
            stamp = time.strftime("%Y%m%d_%H%M%S")
            archived = self.root.with_name(f"{self.root.name}_archived_{stamp}")
            self.root.rename(archived)
            logger.warning("%s is now %s (--auto_resume would have gone on with it)", self.root, archived.name)
            if self.tensorboard.exists():
                self.tensorboard.rename(self.tensorboard.with_name(f"{self.tensorboard.name}_archived_{stamp}"))
        sweep_tree(self.root)
        write_text(record, json.dumps(current, indent=2))
        record_images(self.root / "training_images.txt", images)

    def _begun_with(self, record: Path) -> dict[str, Any] | None:
        """The options of an existing run, if need be as its newest intact state knows them; None for a new run.

        Raises:
            SrKdError: nothing knows them.
        """
        found = read_record(record)
        folders = sorted({path.parent for path in (self.root / "training_states").glob("*/*.state")})
        if found or not (record.exists() or folders):
            return flatten(found) if found else None
        for folder in folders:
            latest = StateFolder(folder).load_latest()
            if latest is not None and latest[1].get("record"):
                logger.warning("%s is damaged or missing: made anew from %s", record, folder / f"{latest[0]}.state")
                return latest[1]["record"]
        raise SrKdError(
            f"{record} is damaged or missing, and no state knows its options; "
            "put it back, or leave out --auto_resume and --seeds to begin anew"
        )

    def _check_changes(self, changed: Mapping[str, str], continue_with: bool) -> None:
        if not changed:
            return
        fixed = {key: text for key, text in changed.items() if not CONTINUABLE.match(key)}
        shown = "; ".join(f"{key}: {text}" for key, text in list((fixed or changed).items())[:5])
        begun = f"{self.root} was begun with other options ({shown})"
        anew = "give the recipe another name, or leave out --auto_resume and --seeds to begin anew"
        if fixed:
            raise UsageError(f"{begun}. They cannot be changed on the way: {anew}")
        if not continue_with:
            raise UsageError(f"{begun}. Add --continue_with to go on with these from the last states; or {anew}")
        phases = dict.fromkeys(key.split(".")[1] for key in changed)
        finished = [path for phase in phases for seed in self.recipe.seeds for path in self._finished(phase, seed)]
        for path, iterations in finished:
            path.rename(path.with_name(f"finished_at_{iterations}.json"))

    def _finished(self, phase: str, seed: int) -> Iterator[tuple[Path, int]]:
        """The record of a phase that is to go on with other options, and its iterations; nothing if it is unfinished.

        Raises:
            UsageError: it has no iterations left to do, or its result was used already.
        """
        result, folder = self.result(phase, seed), self.states(phase, seed).folder
        if result is not None:
            planned = self.recipe.length(phase) + result.get("pretraining", 0)
            if planned <= result["iterations"]:
                raise UsageError(
                    f"{self.run_name(phase, seed)} is finished ({result['iterations']} iterations): other options have "
                    "an effect only with a larger total_iter"
                )
            yield folder / FINISHED, result["iterations"]
        for name in self.recipe.phases:
            other = self.states(name, seed)
            if (
                phase in phases_before(self.recipe, name)
                and other.iterations()
                and self.states(phase, seed).iterations()
            ):
                raise UsageError(
                    f"{self.run_name(name, seed)} has begun with what {self.run_name(phase, seed)} was: remove "
                    f"{other.folder} to train it anew, or give the recipe another name"
                )


def finished_arms(workspace: Workspace) -> Iterator[FinishedArm]:
    """Every seed of every arm in order, partners beside their arms. Raises SrKdError for one that is not finished."""
    recipe = workspace.recipe
    for label, phase in arms(recipe).items():
        for seed in recipe.seeds:
            result, options = _finished(workspace, phase, seed), recipe.phases[phase]
            folder = workspace.models(phase, seed)
            cost = (_iterations(workspace, phase, seed), result.get("seconds_per_step"), _remarks(result))
            yield FinishedArm(label, options.trains, seed, folder / NETWORK_FILE, result["scores"], *cost)
            if options.partner is not None:
                file, scores = folder / PARTNER_FILE, result["partner"]
                yield FinishedArm(f"{label} (partner)", options.partner, seed, file, scores, *cost)


def _finished(workspace: Workspace, phase: str, seed: int) -> dict[str, Any]:
    result = workspace.result(phase, seed)
    if result is None:
        raise SrKdError(f"{workspace.run_name(phase, seed)} is not finished; run the recipe with --auto_resume")
    return result


def _remarks(result: Mapping[str, Any]) -> tuple[str, ...]:
    skipped = result.get("skipped_steps", 0)
    left_out = [f"{skipped} step{'s' * (skipped > 1)} left out, whose gradient was NaN or Inf"] if skipped else []
    history = [
        f"from iteration {entry['iteration']} on with {'; '.join(entry['changes'])}"
        for entry in result.get("history", [])
    ]
    return (*left_out, *history)


def _iterations(workspace: Workspace, phase: str, seed: int) -> tuple[int, ...]:
    """Of every phase before this one, of what its losses train beforehand (if anything), and of itself."""
    recipe = workspace.recipe
    before = [_finished(workspace, name, seed)["iterations"] for name in phases_before(recipe, phase)]
    own = recipe.length(phase)
    pretraining = _finished(workspace, phase, seed)["iterations"] - own
    return (*before, *([pretraining] if pretraining else []), own)
