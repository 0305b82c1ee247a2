"""The page: one HTML file without a network, from `ReportData`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from .. import __version__
from ..evaluation.statistics import mean_and_spread, ranked
from ..recipes.time_left import duration
from .answer import Answer, find_answer, first_score, signed
from .data import Model, ReportData, ReportedMetric, to_json
from .feature_figures import FeatureFigures
from .samples import data_uri

SCRIPTS = ("theme.js", "dom.js", "charts.js", "viewer.js", "main.js")


@dataclass(frozen=True)
class Cell:
    """A cell of the results: `value` is what it is sorted by, `mark` "best", "second" or nothing."""

    text: str
    value: float | str = ""
    note: str = ""
    mark: str = ""


def render_page(data: ReportData, distillations: Sequence[FeatureFigures] = (), answer: Answer | None = None) -> str:
    """The whole page, with an answer of one's own or that of `find_answer`. Every name in it is escaped."""
    heads, rows = results_table(data)
    arms = {model.label for model in data.models if model.role != "interpolation"}
    compared = [
        one for one in data.comparisons if one.model in arms and (one.test_set, one.metric) == first_score(data)
    ]
    return _rendered(
        "page.html.j2",
        SCRIPTS,
        title=data.title,
        version=data.version,
        data=data,
        answer=answer or find_answer(data),
        heads=heads,
        rows=rows,
        arms=compared,
        distillations=distillations,
        json=to_json(data),
    )


def render_features(one: FeatureFigures) -> str:
    """The page of one distillation."""
    return _rendered("features.html.j2", SCRIPTS[:1], title=one.run, version=__version__, one=one)


def results_table(data: ReportData) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows: every model's network, scores, differences and costs; columns that say nothing are left out."""
    columns: dict[str, list[Cell]] = {"model": [_name(model) for model in data.models]}
    for each in data.sets:
        for metric in data.metrics:
            cells = [_score(data, model, each.name, metric) for model in data.models]
            columns[f"{each.name}, {metric.label}" if len(data.sets) > 1 else metric.label] = _marked(cells, metric)
        metric = data.metrics[0]
        differences = [_difference(data, model, each.name, metric) for model in data.models]
        if any(cell.text for cell in differences):
            baseline = data.comparisons[0].baseline
            title = f"{metric.label} minus {baseline}"
            columns[f"{each.name}, {title}" if len(data.sets) > 1 else title] = differences
    columns["parameters"] = [_count(model.parameters) for model in data.models]
    columns["multiply-adds"] = [_count(model.multiply_adds) for model in data.models]
    columns["MP / s"] = [Cell(f"{m.speed:.2f}", m.speed) if m.speed else Cell("-") for m in data.models]
    columns["iterations"] = [
        Cell(
            " + ".join(f"{count:,}" for count in m.iterations) or "-",
            sum(m.iterations) or "",
            f"about {duration(m.training_seconds)}" if m.training_seconds else "",
        )
        for m in data.models
    ]
    columns["ms / step"] = [
        Cell(f"{1000 * m.seconds_per_step:.3g}", m.seconds_per_step) if m.seconds_per_step else Cell("-")
        for m in data.models
    ]
    kept = {head: cells for head, cells in columns.items() if any(cell.text != "-" for cell in cells)}
    return list(kept), [list(row) for row in zip(*kept.values(), strict=True)] if data.scores else []


def _rendered(template: str, scripts: Sequence[str], **values: object) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(__package__, "page")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["data_uri"] = data_uri
    css, *code = (loader.get_source(environment, name)[0] for name in ("style.css", *scripts))
    return environment.get_template(template).render(css=css, scripts="\n".join(code), **values)


def _name(model: Model) -> Cell:
    taught = f"taught by {model.teacher}" if model.teacher else {"baseline": "the baseline"}.get(model.role, "")
    seeds = f"{model.seeds} seeds" if model.seeds > 1 else ""
    return Cell(model.label, note=", ".join(part for part in (model.network, taught, seeds) if part))


def _score(data: ReportData, model: Model, test_set: str, metric: ReportedMetric) -> Cell:
    score = data.score(model.label, test_set, metric.key)
    if score is None:
        return Cell("-")
    text, spread = mean_and_spread(score.runs, metric.digits)
    return Cell(text, mean(score.runs), spread)


def _marked(cells: list[Cell], metric: ReportedMetric) -> list[Cell]:
    """The best and the second best of a column."""
    values = [cell.value if isinstance(cell.value, float) else None for cell in cells]
    places = ranked(values, metric.digits, metric.higher_is_better)
    return [replace(cell, mark=place) for cell, place in zip(cells, places, strict=True)]


def _difference(data: ReportData, model: Model, test_set: str, metric: ReportedMetric) -> Cell:
    one = data.comparison(model.label, test_set, metric.key)
    if one is None:
        return Cell("")
    tone = one.tone(metric)
    interval = f"{tone}: {signed(one.low, metric.digits)} to {signed(one.high, metric.digits)}"
    return Cell(signed(one.mean, metric.digits), one.mean, interval, tone)


def _count(value: int | None) -> Cell:
    if value is None:
        return Cell("-")
    for limit, letter in ((10**9, "G"), (10**6, "M")):
        if value >= 10 * limit or (letter == "G" and value >= limit):
            return Cell(f"{value / limit:.3g} {letter}", value)
    return Cell(f"{value:,}", value)
