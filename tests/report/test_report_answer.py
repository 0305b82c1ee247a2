"""The answer in words, for every way in which a comparison can end."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sr_kd.report.answer import BEST, HELPED, find_answer
from sr_kd.report.data import Comparison, Model, PhaseState, ReportData, ReportedMetric, ReportedSet, Score
from sr_kd.report.page import render_page, results_table


def make(*comparisons, roles=("distilled", "baseline"), higher=True, done=10, seeds=1):
    models = [
        Model(label, role, iterations=(5,), seconds_per_step=0.1) for label, role in zip("AB", roles, strict=True)
    ]
    metric = ReportedMetric("psnr", "PSNR", "dB", 3, higher)
    return ReportData(
        title="name",
        task="super_resolution",
        scale=2,
        made="now",
        version="1",
        device="CPU",
        commands=(),
        metrics=(metric,),
        sets=(ReportedSet("set", "rgb8", "rule", ("x", "y")),),
        models=tuple(models),
        scores=tuple(Score(label, "set", "psnr", (30.0 + index,) * seeds) for index, label in enumerate("AB")),
        comparisons=tuple(Comparison(*size, 2, 1, "A", "B", "set", "psnr") for size in comparisons),
        finished=done == 10,
        phases=(PhaseState("a", "A", "arm", done, 10),),
    )


@pytest.mark.parametrize(
    ("size", "verdict", "sentence", "tone"),
    [
        (
            (0.1, 0.05, 0.2),
            "Yes, by 0.100 dB PSNR",
            "is 0.100 dB PSNR above “B” on “set”. The 95 % interval lies above",
            "better",
        ),
        ((-0.1, -0.2, -0.05), "No: it costs 0.100 dB PSNR", "“A” is 0.100 dB PSNR below “B”", "worse"),
        ((0.01, -0.02, 0.05), "Not measurably", "The 95 % interval includes zero", "level"),
        ((0.01, math.nan, math.nan), "Unknown: one image of one seed", "nothing of how sure", "level"),
    ],
)
def test_the_interval_decides(size, verdict, sentence, tone):
    answer = find_answer(make(size))
    assert (answer.question, answer.verdict) == (HELPED, verdict)
    assert sentence in answer.sentence
    assert answer.facts[0].tone == tone


def test_the_answer_says_what_it_cost():
    data = make((0.1, 0.05, 0.2))
    taught = replace(data.models[0], iterations=(5, 10), training_seconds=90.0, parameters=8)
    models = (taught, replace(data.models[1], training_seconds=60.0, parameters=4))
    training, use = find_answer(replace(data, models=models)).facts[-2:]
    assert training.value == "1.5 times as long"
    assert training.note == "5 + 10 iterations, about 90 s; B: 5 iterations, about 60 s"
    assert use.value == "2 times the parameters"
    assert find_answer(data).facts[-1].value == "5 iterations", "times that nobody took are not made up"


def test_the_answer_says_how_it_is_on_other_sets():
    data = make((0.1, 0.05, 0.2))
    sets = (*data.sets, ReportedSet("more", "rgb8", "rule"))
    other = replace(data.comparisons[0], mean=-0.3, low=-0.4, high=-0.2, test_set="more")
    facts = find_answer(replace(data, sets=sets, comparisons=(*data.comparisons, other))).facts
    (fact,) = [one for one in facts if one.name == "On the other sets"]
    assert (fact.value, fact.note) == ("1 worse", "more \N{MINUS SIGN}0.300 (worse)")


def test_the_answer_says_where():
    data = make((0.1, 0.05, 0.2))
    scores = [
        replace(score, images=images) for score, images in zip(data.scores, ((30.0, 28.0), (29.5, 29.0)), strict=True)
    ]
    (fact,) = [one for one in find_answer(replace(data, scores=tuple(scores))).facts if one.name == "Better on"]
    assert (fact.value, fact.note) == ("1 of 2 images", "from \N{MINUS SIGN}1.000 (y) to +0.500 (x)")


def test_where_less_is_better_the_signs_are_turned_round():
    answer = find_answer(make((-0.1, -0.2, -0.05), higher=False))
    assert answer.verdict == "Yes, by 0.100 dB PSNR"
    assert "below “B” on “set”. The 95 % interval lies below zero, so the gain" in answer.sentence


def test_a_run_that_goes_on_has_no_answer_yet():
    answer = find_answer(make((0.1, 0.05, 0.2), done=4))
    assert answer.verdict == "Not known yet: the run is not finished"
    assert "4 of 10 iterations are done" in answer.sentence
    assert 'http-equiv="refresh"' in render_page(make((0.1, 0.05, 0.2), done=4))


def test_nobody_taught_asks_which_is_best():
    answer = find_answer(make((0.1, 0.05, 0.2), roles=("alone", "baseline")))
    assert (answer.question, answer.verdict) == (BEST, "“A”, by 0.100 dB PSNR")


def test_nothing_to_compare_with_names_the_best():
    answer = find_answer(make(roles=("alone", "alone")))
    assert answer.verdict == "“B”" and "nothing to compare it with" in answer.sentence


def test_best_and_second_are_marked():
    _, rows = results_table(make((-1.0, -1.1, -0.9)))
    marks = {row[0].text: row[1].mark for row in rows}
    assert marks == {"A": "second", "B": "best"}


def test_images_that_are_identical_to_hr_have_no_spread():
    data = make(seeds=2)
    _, rows = results_table(replace(data, scores=(replace(data.scores[0], runs=(math.inf, math.inf)), data.scores[1])))
    assert [(row[1].text, row[1].note) for row in rows] == [("inf", ""), ("31.000", "± 0.000")]
