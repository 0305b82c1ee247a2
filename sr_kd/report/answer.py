"""The question a run answers, in plain words: did distillation help, how sure is that, what did it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean

from ..evaluation.statistics import interval_note
from .data import Comparison, Metric, Model, ReportData, Score

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
    taught = [model for model in data.models if model.role == "distilled"]
    question = HELPED if taught else BEST
    compared = _comparisons(data)
    candidates = [one for one in compared if _role(data, one.model) == "distilled"] or list(compared)
    if not data.finished:
        return _unfinished(data, question)
    if not candidates:
        return _only_scores(data, question)
    metric = data.metrics[0]
    sign = 1 if metric.higher_is_better else -1
    best = max(candidates, key=lambda one: sign * one.mean)
    tone = best.tone(metric)
    return Answer(
        question,
        _verdict(best, tone, question),
        _sentence(data, best, metric, tone),
        _facts(data, best, metric, tone),
        _cautions(data, best, candidates, metric),
        interval_note(best.seeds) if best.images else f"Intervals: 95 %, t over {best.seeds} seeds.",
    )


def signed(value: float, digits: int) -> str:
    r"""A difference with its sign.

    >>> signed(0.0123, 3), signed(-1, 1) == "\N{MINUS SIGN}1.0"
    ('+0.012', True)
    """
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _comparisons(data: ReportData) -> list[Comparison]:
    if not data.sets or not data.metrics:
        return []
    wanted = (data.sets[0].name, data.metrics[0].key)
    return [one for one in data.comparisons if (one.test_set, one.metric) == wanted]


def _model(data: ReportData, label: str) -> Model:
    return next(model for model in data.models if model.label == label)


def _role(data: ReportData, label: str) -> str:
    return _model(data, label).role


def _verdict(best: Comparison, tone: str, question: str) -> str:
    if question == BEST:
        return {"better": best.model, "worse": best.baseline, "level": "No clear winner"}[tone]
    return {
        "better": f"Yes: {best.model} is better",
        "worse": f"No: {best.baseline} is better",
        "level": "No measurable difference",
    }[tone]


def _sentence(data: ReportData, best: Comparison, metric: Metric, tone: str) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    taught = [one for one in _comparisons(data) if _role(data, one.model) == "distilled"]
    which = "" if len(taught) < 2 else f", the best of {len(taught)} taught arms,"
    if math.isnan(best.low):
        ending = "One image of one seed tells nothing of how sure that is."
    elif tone == "level":
        ending = "The 95 % interval includes zero, so the difference is not significant."
    else:
        side, kind = "above" if best.low > 0 else "below", "gain" if tone == "better" else "loss"
        ending = f"The 95 % interval lies {side} zero, so the {kind} is significant."
    change = f"{abs(best.mean):.{metric.digits}f}{unit} {metric.label}"
    word = "above" if best.mean >= 0 else "below"
    return f"{best.model}{which} is {change} {word} {best.baseline} on {best.test_set}. {ending}"


def _facts(data: ReportData, best: Comparison, metric: Metric, tone: str) -> tuple[Fact, ...]:
    digits, unit = metric.digits, f" {metric.unit}" if metric.unit else ""
    facts = [
        Fact(
            f"{metric.label} difference",
            f"{signed(best.mean, digits)}{unit}",
            "no interval"
            if math.isnan(best.low)
            else f"95 %: {signed(best.low, digits)} to {signed(best.high, digits)}, {best.sample}",
            tone,
        )
    ]
    for label in (best.model, best.baseline):
        score = data.score(label, best.test_set, metric.key)
        if score is not None:
            facts.append(Fact(label, f"{mean(score.runs):.{digits}f}{unit}", _seeds(score)))
    facts += _where(data, best, metric)
    facts += _cost(_model(data, best.model), _model(data, best.baseline))
    return tuple(facts)


def _where(data: ReportData, best: Comparison, metric: Metric) -> list[Fact]:
    """On how many images it is better, and those where it gains and loses most."""
    scores = [data.score(label, best.test_set, metric.key) for label in (best.model, best.baseline)]
    names = next(each.images for each in data.sets if each.name == best.test_set)
    own, base = (score.images if score is not None else () for score in scores)
    pairs = zip(own, base, names, strict=False)
    changes = sorted((one - other, name) for one, other, name in pairs if one is not None and other is not None)
    if len(changes) < 2:
        return []
    better = sum((change > 0) == metric.higher_is_better and change != 0 for change, _ in changes)
    ends = [f"{signed(change, metric.digits)} ({name})" for change, name in (changes[0], changes[-1])]
    return [Fact("Better on", f"{better} of {len(changes)} images", f"from {ends[0]} to {ends[1]}")]


def _seeds(score: Score) -> str:
    if len(score.runs) == 1:
        return "one seed"
    return f"{len(score.runs)} seeds, {min(score.runs):.3f} to {max(score.runs):.3f}"


def _cost(model: Model, baseline: Model) -> list[Fact]:
    """Time of a step, and of the whole training, beside the baseline's."""
    facts = []
    if model.iterations and baseline.iterations:
        parts = " + ".join(f"{count:,}" for count in model.iterations)
        facts.append(Fact("Iterations", parts, f"{baseline.label}: {sum(baseline.iterations):,}"))
    if model.seconds_per_step and baseline.seconds_per_step:
        ratio = model.seconds_per_step / baseline.seconds_per_step
        note = f"{1000 * model.seconds_per_step:.3g} ms, {baseline.label} {1000 * baseline.seconds_per_step:.3g} ms"
        facts.append(Fact("Cost of a step", f"{ratio:.2f} times", note))
    return facts


def _cautions(data: ReportData, best: Comparison, candidates: list[Comparison], metric: Metric) -> tuple[str, ...]:
    found = []
    tones = [one.tone(metric) for one in candidates]
    if len(candidates) > 1:
        counts = ", ".join(f"{tones.count(tone)} {tone}" for tone in ("better", "level", "worse") if tone in tones)
        found.append(
            f"Of {len(candidates)} arms, beside {best.baseline}: {counts}. The best of several looks better than it is."
        )
    if _model(data, best.model).seeds == 1:
        found.append("One seed: another could change the order where the difference is small.")
    if 0 < best.images < 20:
        found.append(f"{best.images} images are few: the interval says nothing of images of other kinds.")
    return tuple(found)


def _unfinished(data: ReportData, question: str) -> Answer:
    done, total = (sum(getattr(phase, name) for phase in data.phases) for name in ("done", "total"))
    finished = sum(phase.done >= phase.total for phase in data.phases)
    share = f"{done:,} of {total:,} iterations are done, {finished} of {len(data.phases)} phases are finished."
    return Answer(question, "Not known yet: the run goes on", share)


def _only_scores(data: ReportData, question: str) -> Answer:
    scored = [
        score
        for score in data.scores
        if data.sets and data.metrics and (score.test_set, score.metric) == (data.sets[0].name, data.metrics[0].key)
    ]
    if not scored:
        return Answer(question, "Nothing was measured", "The recipe has no validation set.")
    metric = data.metrics[0]
    best = (max if metric.higher_is_better else min)(scored, key=lambda score: mean(score.runs))
    unit = f" {metric.unit}" if metric.unit else ""
    value = f"{mean(best.runs):.{metric.digits}f}{unit} {metric.label}"
    return Answer(
        question, best.model, f"{best.model} has {value} on {best.test_set}; there is nothing to compare it with."
    )
