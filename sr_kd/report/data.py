"""What a report page shows: typed, plain, and JSON as it stands in the page."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from ..evaluation.statistics import Difference

Role = Literal["interpolation", "baseline", "distilled", "alone"]


@dataclass(frozen=True)
class ReportedMetric:
    """What is measured: `key` as in option files, `unit` may be empty."""

    key: str
    label: str
    unit: str
    digits: int
    higher_is_better: bool = True


@dataclass(frozen=True)
class ReportedSet:
    """A validation set, its protocol (empty for accuracies) with the rule in words, and its images."""

    __test__ = False  # for pytest, which would collect the name

    name: str
    protocol: str
    rule: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """One arm, or an interpolation.

    Attributes:
        label: unique in the report.
        role: what it is in the comparison.
        network: its type, such as "FSRCNN".
        parameters: of the network.
        multiply_adds: of one forward pass that gives 1280x720 pixels.
        speed: megapixels of results per second, measured on `ReportData.device`.
        seeds: how many runs its scores are means of.
        iterations: of the phases before it, of a pre-training, and its own.
        seconds_per_step: median of its own iterations.
        training_seconds: of one seed, with the phases before: iterations times the median of each.
        teacher: what taught it; empty if nothing did.
        losses: in words.
    """

    label: str
    role: Role
    network: str = ""
    parameters: int | None = None
    multiply_adds: int | None = None
    speed: float | None = None
    seeds: int = 1
    iterations: tuple[int, ...] = ()
    seconds_per_step: float | None = None
    training_seconds: float | None = None
    teacher: str = ""
    losses: str = ""


@dataclass(frozen=True)
class Score:
    """A model's score on a set: one mean per seed, and every image's mean over the seeds (if there are images)."""

    model: str
    test_set: str
    metric: str
    runs: tuple[float, ...]
    images: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Comparison(Difference):
    """`model` minus `baseline`; `images` is 0 where there are no scores of single ones."""

    model: str
    baseline: str
    test_set: str
    metric: str

    def tone(self, metric: ReportedMetric) -> str:
        """ "better" or "worse" where the interval lies on one side of zero, else "level"."""
        sign = 1 if metric.higher_is_better else -1
        low, high = sorted((sign * self.low, sign * self.high))
        return "better" if low > 0 else "worse" if high < 0 else "level"

    @property
    def sample(self) -> str:
        """What the interval is over, in words."""
        counts = {"image": self.images, "seed": self.seeds}
        return ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count)


@dataclass(frozen=True)
class Curve:
    """One logged value of one phase and seed over its iterations."""

    phase: str
    seed: int
    key: str
    iterations: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class PhaseState:
    """How far a phase is, over all its seeds."""

    phase: str
    label: str
    role: str
    done: int
    total: int


@dataclass(frozen=True)
class Version:
    """One way to show a sample: `label` is a model's, or "LR" or "HR"; `source` a data URI (lossless)."""

    label: str
    source: str


@dataclass(frozen=True)
class Sample:
    """A crop of an image: its place in HR pixels (left, top, width, height), and a small view of the whole."""

    test_set: str
    image: str
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    overview: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class OptionRow:
    """One option that differs: its key, and what every column has (empty: nothing)."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class OptionTable:
    """The options in which `columns` (arms, or runs) differ."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[OptionRow, ...]


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. Lists are in the order in which they are shown; `finished`: nothing is to be run yet."""

    title: str
    task: str
    scale: int | None
    made: str
    version: str
    device: str
    commands: tuple[str, ...]
    metrics: tuple[ReportedMetric, ...]
    sets: tuple[ReportedSet, ...]
    models: tuple[Model, ...]
    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    finished: bool = True
    phases: tuple[PhaseState, ...] = ()
    curves: tuple[Curve, ...] = ()
    samples: tuple[Sample, ...] = ()
    options: tuple[OptionTable, ...] = ()
    notes: tuple[str, ...] = ()

    def score(self, model: str, test_set: str, metric: str) -> Score | None:
        """One cell of the results; None where it was not measured."""
        wanted = (model, test_set, metric)
        return next((one for one in self.scores if (one.model, one.test_set, one.metric) == wanted), None)

    def comparison(self, model: str, test_set: str, metric: str) -> Comparison | None:
        """One model's difference to the baseline; None for the baseline itself."""
        wanted = (model, test_set, metric)
        return next((one for one in self.comparisons if (one.model, one.test_set, one.metric) == wanted), None)


def to_json(data: ReportData) -> str:
    """The data for a ``<script>`` element: no name in it can end the element."""
    text = json.dumps(_plain(dataclasses.asdict(data)), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    """Floats shortened to six digits; what JSON cannot hold (an infinite PSNR) becomes null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
