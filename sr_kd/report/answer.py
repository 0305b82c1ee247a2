"""The question a run answers, in plain words: did distillation help, how sure is that, what did it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from ..evaluation.statistics import interval_note
from ..recipes.time_left import duration
from .data import Comparison, Model, ReportData, ReportedMetric, Score

HELPED = "Did distillation help?"
BEST = "Which one is best?"


@dataclass(frozen=True)
class Fact:
    """One figure beside the answer; `tone` is "better", "worse" or "level"."""

    name: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Answer:
    """What stands at the top of the page; `intervals` says what they are."""

    question: str
    verdict: str
    sentence: str
    facts: tuple[Fact, ...] = ()
    cautions: tuple[str, ...] = ()
    intervals: str = "Nothing was compared."


def find_answer(data: ReportData) -> Answer:
    """The best taught arm beside the baseline, by the first metric on the first set; of all arms if none was taught."""
    taught = [model.label for model in data.models if model.role == "distilled"]
    question = HELPED if taught else BEST
    if not data.finished:
        return _unfinished(data, question)
    compared = [one for one in data.comparisons if (one.test_set, one.metric) == first_score(data)]
    candidates = [one for one in compared if one.model in taught] or compared
    if not candidates:
        return _only_scores(data, question)
    metric = data.metrics[0]
    best = max(candidates, key=lambda one: one.mean if metric.higher_is_better else -one.mean)
    return Answer(
        question,
        _verdict(best, metric, question),
        _sentence(best, metric, len(candidates) if taught else 0),
        _facts(data, best, metric),
        _cautions(data, best, candidates, metric),
        interval_note(best.seeds) if best.images else f"Intervals: 95 %, t over {best.seeds} seeds.",
    )


def signed(value: float, digits: int) -> str:
    r"""A difference with its sign.

    >>> signed(0.0123, 3), signed(-1, 1) == "\N{MINUS SIGN}1.0"
    ('+0.012', True)
    """
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def quoted(name: str) -> str:
    """A name in a sentence: arms are called as their authors like."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"


def first_score(data: ReportData) -> tuple[str, str]:
    """The set and the metric that decide; every run has a metric."""
    return data.sets[0].name if data.sets else "", data.metrics[0].key


def _amount(value: float, metric: ReportedMetric) -> str:
    """ "0.063 dB PSNR", "1.20 percentage points of mAP"."""
    unit = {"": "", "%": " percentage points of"}.get(metric.unit, f" {metric.unit}")
    return f"{abs(value):.{metric.digits}f}{unit} {metric.label}"


def _verdict(best: Comparison, metric: ReportedMetric, question: str) -> str:
    amount, tone = _amount(best.mean, metric), best.tone(metric)
    if math.isnan(best.low):
        return "Unknown: one image of one seed"
    if question == BEST:
        first = {"better": best.model, "worse": best.baseline}.get(tone)
        return "No clear winner" if first is None else f"{quoted(first)}, by {amount}"
    return {"better": f"Yes, by {amount}", "worse": f"No: it costs {amount}", "level": "Not measurably"}[tone]


def _sentence(best: Comparison, metric: ReportedMetric, taught: int) -> str:
    """With what was best of how many, where, and how sure that is."""
    if math.isnan(best.low):
        ending = "One image of one seed tells nothing of how sure that is."
    elif best.tone(metric) == "level":
        ending = "The 95 % interval includes zero, so the difference is not significant."
    else:
        side, kind = "above" if best.low > 0 else "below", "gain" if best.tone(metric) == "better" else "loss"
        ending = f"The 95 % interval lies {side} zero, so the {kind} is significant."
    who = f"The best of {taught} taught arms, {quoted(best.model)}," if taught > 1 else quoted(best.model)
    word = "above" if best.mean >= 0 else "below"
    return f"{who} is {_amount(best.mean, metric)} {word} {quoted(best.baseline)} on {quoted(best.test_set)}. {ending}"


def _facts(data: ReportData, best: Comparison, metric: ReportedMetric) -> tuple[Fact, ...]:
    """How much, where, and what it costs."""
    digits, unit = metric.digits, f" {metric.unit}" if metric.unit else ""
    between = f"95 %: {signed(best.low, digits)} to {signed(best.high, digits)}, {best.sample}"
    note = "no interval" if math.isnan(best.low) else between
    points = " points" if metric.unit == "%" else unit
    facts = [Fact(f"{metric.label} difference", f"{signed(best.mean, digits)}{points}", note, best.tone(metric))]
    own, base = (data.score(label, best.test_set, metric.key) for label in (best.model, best.baseline))
    if own is not None and base is not None:
        several = f", means of {len(own.runs)} seeds" if len(own.runs) > 1 else ""
        note = f"{best.baseline}: {mean(base.runs):.{digits}f}{unit}{several}"
        facts.append(Fact(f"{metric.label} of {best.model}", f"{mean(own.runs):.{digits}f}{unit}", note))
        facts += _where(data, best, metric, own, base)
    facts += _elsewhere(data, best)
    return (*facts, *_cost(*(_model(data, label) for label in (best.model, best.baseline))))


def _model(data: ReportData, label: str) -> Model:
    return next(model for model in data.models if model.label == label)


def _where(data: ReportData, best: Comparison, metric: ReportedMetric, own: Score, base: Score) -> list[Fact]:
    """On how many images it is better, and those where it gains and loses most."""
    names = next(each.images for each in data.sets if each.name == best.test_set)
    pairs = zip(own.images, base.images, names, strict=False)
    changes = sorted((one - other, name) for one, other, name in pairs if one is not None and other is not None)
    if len(changes) < 2:
        return []
    better = sum((change > 0) == metric.higher_is_better and change != 0 for change, _ in changes)
    ends = [f"{signed(change, metric.digits)} ({name})" for change, name in (changes[0], changes[-1])]
    return [Fact("Better on", f"{better} of {len(changes)} images", f"from {ends[0]} to {ends[1]}")]


def _elsewhere(data: ReportData, best: Comparison) -> list[Fact]:
    """The same two on the other sets."""
    metric = data.metrics[0]
    found = [data.comparison(best.model, each.name, metric.key) for each in data.sets[1:]]
    others = [one for one in found if one is not None]
    notes = [f"{one.test_set} {signed(one.mean, metric.digits)} ({one.tone(metric)})" for one in others]
    return [Fact("On the other sets", _tones(others, metric), ", ".join(notes))] if others else []


def _tones(compared: Sequence[Comparison], metric: ReportedMetric) -> str:
    """ "2 better, 1 level"."""
    tones = [one.tone(metric) for one in compared]
    return ", ".join(f"{tones.count(tone)} {tone}" for tone in ("better", "level", "worse") if tone in tones)


def _cost(model: Model, baseline: Model) -> list[Fact]:
    """What training took, and what using takes, beside the baseline."""
    facts = []
    if model.iterations and baseline.iterations:
        value = f"{sum(model.iterations):,} iterations"
        if model.training_seconds and baseline.training_seconds:
            times = f"{model.training_seconds / baseline.training_seconds:.2g}"
            value = "as long" if times == "1" else f"{times} times as long"
        facts.append(Fact("Training", value, f"{_training(model)}; {baseline.label}: {_training(baseline)}"))
    if model.parameters and baseline.parameters:
        same = (model.parameters, model.multiply_adds) == (baseline.parameters, baseline.multiply_adds)
        value = "the same" if same else f"{model.parameters / baseline.parameters:.2g} times the parameters"
        facts.append(Fact("Cost of use", value, f"{model.parameters:,} parameters"))
    return facts


def _training(model: Model) -> str:
    iterations = f"{' + '.join(f'{count:,}' for count in model.iterations)} iterations"
    return iterations + (f", about {duration(model.training_seconds)}" if model.training_seconds else "")


def _cautions(
    data: ReportData, best: Comparison, candidates: list[Comparison], metric: ReportedMetric
) -> tuple[str, ...]:
    found = []
    if len(candidates) > 1:
        counts = _tones(candidates, metric)
        kind = "taught arms" if _model(data, best.model).role == "distilled" else "arms"
        found.append(
            f"Of {len(candidates)} {kind}, beside {quoted(best.baseline)}: {counts}. The best of several looks better "
            "than it is."
        )
    if _model(data, best.model).seeds == 1:
        found.append("One seed: another could change the order where the difference is small.")
    if 0 < best.images < 20:
        found.append(f"Few images ({best.images}): the interval says nothing of images of other kinds.")
    return tuple(found)


def _unfinished(data: ReportData, question: str) -> Answer:
    done, total = (sum(getattr(phase, name) for phase in data.phases) for name in ("done", "total"))
    finished = sum(phase.done >= phase.total for phase in data.phases)
    share = f"{done:,} of {total:,} iterations are done, {finished} of {len(data.phases)} phases are finished."
    return Answer(question, "Not known yet: the run is not finished", share)


def _only_scores(data: ReportData, question: str) -> Answer:
    scored = [score for score in data.scores if (score.test_set, score.metric) == first_score(data)]
    if not scored:
        return Answer(question, "Nothing was measured", "The recipe has no validation set.")
    metric = data.metrics[0]
    best = (max if metric.higher_is_better else min)(scored, key=lambda score: mean(score.runs))
    unit = f" {metric.unit}" if metric.unit else ""
    value = f"{mean(best.runs):.{metric.digits}f}{unit} {metric.label}"
    has = f"{quoted(best.model)} has {value} on {quoted(best.test_set)}"
    verdict = "Nothing to compare with" if question == HELPED else quoted(best.model)
    missing = "the recipe has no arm without a teacher" if question == HELPED else "there is nothing to compare it with"
    return Answer(question, verdict, f"{has}; {missing}.")
