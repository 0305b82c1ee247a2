"""Everything on a page, from the files of one or several runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import torch

from .. import __version__
from ..errors import UsageError
from ..evaluation.protocols import find_protocol
from ..files import real_path
from ..networks.base import SRNetwork
from ..networks.complexity import count_parameters
from ..recipes.graph import arms
from ..recipes.workspace import finished_arms
from ..tasks.base import FinishedArm
from .data import Comparison, Model, PhaseState, ReportData, ReportedMetric, ReportedSet, Sample, Score
from .facts import effort_of
from .measure import open_networks, parameters, speed, take_samples
from .options import option_tables
from .progress import Logged, curves, read_logged
from .run import Run, run_titles
from .scores import find_metrics, image_differences, image_scores, read_results, seed_differences, validation_scores
from .status import phase_states, run_status

INTERPOLATION = "bicubic"


def gather(runs: Sequence[Run], device: torch.device | None = None, *, quiet: bool = True) -> ReportData:
    """What the files of the runs tell; with a device, also what their networks do: sizes, speeds and images.

    Args:
        runs: of one task and scale. Results that are not written yet (``results.json``) are not looked for.

    Raises:
        UsageError: runs of different tasks, scales or metrics.
        SrKdError: damaged files.
    """
    first = runs[0]
    _check_alike(runs)
    metrics = find_metrics(first)
    titles = run_titles(runs)
    parts = [_Part(run, f"{title}: " if len(runs) > 1 else "") for run, title in zip(runs, titles, strict=True)]
    baseline = next((part.prefix + part.run.baseline for part in parts if part.run.baseline), None)
    scores = list(dict.fromkeys(score for part in parts for score in part.scores(metrics)))  # bicubic is in every run
    measured: Mapping[str, SRNetwork | None] = {}
    samples: list[Sample] = []
    models = list(dict.fromkeys(model for part in parts for model in part.models()))
    if device is not None and first.upscales and first.recipe.scale is not None:
        measured = {label: network for part in parts for label, network in open_networks(part.files()).items()}
        models = _sized(models, measured, first.recipe.scale, device)
        bicubic = {INTERPOLATION: None} if any(model.role == "interpolation" for model in models) else {}
        samples = take_samples(first, {**bicubic, **measured}, scores, device, quiet=quiet)
    elif device is not None:
        counted = {label: parameters(file) for part in parts for label, file in part.files().items()}
        models = [replace(model, parameters=counted.get(model.label)) for model in models]
    return ReportData(
        title=", ".join(titles),
        task=first.recipe.task,
        scale=first.recipe.scale,
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=__version__,
        device=_device_name(device),
        commands=tuple(run.command for run in runs if run.command),
        metrics=tuple(metrics),
        sets=tuple(_sets(parts[0], scores)),
        models=tuple(
            replace(one, role="alone") if one.role == "baseline" and one.label != baseline else one for one in models
        ),
        scores=tuple(scores),
        comparisons=tuple(_comparisons(parts, scores, baseline, metrics)),
        finished=all(run.finished for run in runs),
        phases=tuple(state for part in parts for state in part.phases()),
        curves=tuple(curve for part in parts for curve in curves(part.logged, part.prefix)),
        samples=tuple(samples),
        options=tuple(option_tables(runs)),
        notes=tuple(_notes(first, samples, scores)),
    )


class _Part:
    """One run on the page, its labels behind a prefix."""

    def __init__(self, run: Run, prefix: str) -> None:
        self.run, self.prefix = run, prefix
        self.logged: Logged = read_logged(run)
        self.arms = list(finished_arms(run.workspace)) if run.finished else []
        complete = run.finished and run.upscales and (run.workspace.results / "results.json").is_file()
        found = read_results(run) if complete else {}
        self.results = {self._label(label): scores for label, scores in found.items()}

    def _label(self, label: str) -> str:
        return label if label == INTERPOLATION else self.prefix + label

    def scores(self, metrics: Sequence[ReportedMetric]) -> list[Score]:
        if self.results:
            return image_scores(self.results, metrics)
        return validation_scores(self.run, self.logged, self.prefix)

    def models(self) -> list[Model]:
        found = [Model(INTERPOLATION, "interpolation")] if INTERPOLATION in self.results else []
        runs: dict[str, list[FinishedArm]] = {}
        for arm in self.arms:
            runs.setdefault(arm.label, []).append(arm)
        labels = list(runs) or list(arms(self.run.recipe))
        return [*found, *(self._model(label, runs.get(label, [])) for label in labels)]

    def _model(self, label: str, seeds: Sequence[FinishedArm]) -> Model:
        recipe = self.run.recipe
        arm = label.removesuffix(" (partner)")
        options = recipe.phases[arms(recipe)[arm]]
        network = recipe.networks[seeds[0].network if seeds else options.trains]
        times = [one.seconds_per_step for one in seeds if one.seconds_per_step is not None]
        totals = [seconds for one in seeds if (seconds := self.run.seconds(arms(recipe)[arm], one.seed))]
        return Model(
            self.prefix + label,
            self.run.role(arm),
            network.type,
            seeds=len(recipe.seeds),
            iterations=seeds[0].iterations if seeds else (),
            seconds_per_step=median(times) if times else None,
            training_seconds=median(totals) if totals else None,
            teacher=self.run.teacher(arms(recipe)[arm]),
            losses=" + ".join(loss.type for loss in options.losses),
        )

    def phases(self) -> list[PhaseState]:
        return phase_states(self.run, run_status(self.run, self.logged), self.prefix)

    def files(self) -> dict[str, str]:
        """The networks' files, of the first seed."""
        files: dict[str, str] = {}
        for arm in self.arms:
            files.setdefault(self.prefix + arm.label, str(arm.file))
        return files


def _check_alike(runs: Sequence[Run]) -> None:
    first = runs[0].recipe
    for run in runs[1:]:
        other = run.recipe
        for what in ("task", "scale"):
            if getattr(first, what) != getattr(other, what):
                raise UsageError(
                    f"{first.name} and {other.name} cannot share a report: their {what} is {getattr(first, what)} "
                    f"and {getattr(other, what)}"
                )
    folders = [str(real_path(run.workspace.root)) for run in runs]
    if len(set(folders)) < len(folders):
        raise UsageError(f"a run is named twice: {', '.join(folders)}")


def _comparisons(
    parts: Sequence[_Part], scores: Sequence[Score], baseline: str | None, metrics: Sequence[ReportedMetric]
) -> list[Comparison]:
    if baseline is None or not all(part.run.finished for part in parts):
        return []
    results = {label: found for part in parts for label, found in part.results.items()}
    if baseline in results:
        return image_differences(results, baseline, metrics)
    return seed_differences(scores, baseline)


def _sized(
    models: Sequence[Model], networks: Mapping[str, SRNetwork | None], scale: int, device: torch.device
) -> list[Model]:
    """With parameters, multiply-adds and speeds; equal networks are measured once."""
    known: dict[str, tuple[int, int, float]] = {}
    found = []
    for model in models:
        network = networks.get(model.label)
        if network is not None:
            kind = f"{network.type_name} {network.arguments}"
            if kind not in known:
                adds = effort_of(network, scale).multiply_adds
                known[kind] = (count_parameters(network), adds, speed(network, scale, device))
            parameters, adds, fast = known[kind]
            model = replace(model, parameters=parameters, multiply_adds=adds, speed=fast)
        found.append(model)
    return found


def _sets(part: _Part, scores: Sequence[Score]) -> list[ReportedSet]:
    names = list(dict.fromkeys(score.test_set for score in scores))
    protocols: Sequence[str] = [getattr(options, "protocol", "") for options in part.run.recipe.validation_sets]
    measured = next(iter(part.results.values()), [[]])[0]
    images = {of_set.name: tuple(image.name for image in of_set.images) for of_set in measured}
    rules = [find_protocol(name).rule if name else "" for name in protocols]
    padded = [*zip(protocols, rules, strict=True), *[("", "")] * len(names)]
    return [ReportedSet(name, *padded[index], images.get(name, ())) for index, name in enumerate(names)]


def _notes(run: Run, samples: Sequence[Sample], scores: Sequence[Score]) -> list[str]:
    found = []
    images = len({(score.test_set, index) for score in scores for index in range(len(score.images))})
    if samples and len(samples) < images:
        found.append(f"Of {images} images, the {len(samples)} in which the arms' scores differ most can be looked at.")
    if samples and len(run.recipe.seeds) > 1:
        found.append(f"Images are those of seed {run.recipe.seeds[0]}; scores are means over the seeds.")
    return found


def _device_name(device: torch.device | None) -> str:
    if device is None:
        return "nothing yet"
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, threads: {torch.get_num_threads()}" if device.type == "cpu" else device.type
