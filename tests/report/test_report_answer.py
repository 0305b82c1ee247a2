"""The answer in words, for every way in which a comparison can end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sr_kd.report.answer import BEST, HELPED, find_answer
from sr_kd.report.data import Comparison, Metric, Model, PhaseState, ReportData, Score, TestSet
from sr_kd.report.page import render_page, results_table


def make(*comparisons, roles=("distilled", "baseline"), higher=True, done=10, seeds=1):
    models = [
        Model(label, role, iterations=(5,), seconds_per_step=0.1) for label, role in zip("AB", roles, strict=True)
    ]
    metric = Metric("psnr", "PSNR", "dB", 3, higher)
    return ReportData(
        title="name",
        task="super_resolution",
        scale=2,
        made="now",
        version="1",
        device="CPU",
        commands=(),
        metrics=(metric,),
        sets=(TestSet("set", "rgb8", "rule", ("x", "y")),),
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
            "Yes: A is better",
            "A is 0.100 dB PSNR above B on set. The 95 % interval lies above",
            "better",
        ),
        (
            (-0.1, -0.2, -0.05),
            "No: B is better",
            "A is 0.100 dB PSNR below B on set. The 95 % interval lies below",
            "worse",
        ),
        ((0.01, -0.02, 0.05), "No measurable difference", "The 95 % interval includes zero", "level"),
    ],
)
def test_the_interval_decides(size, verdict, sentence, tone):
    answer = find_answer(make(size))
    assert (answer.question, answer.verdict) == (HELPED, verdict)
    assert sentence in answer.sentence
    assert answer.facts[0].tone == tone


def test_the_answer_says_where():
    data = make((0.1, 0.05, 0.2))
    scores = [
        replace(score, images=images) for score, images in zip(data.scores, ((30.0, 28.0), (29.5, 29.0)), strict=True)
    ]
    (fact,) = [one for one in find_answer(replace(data, scores=tuple(scores))).facts if one.name == "Better on"]
    assert (fact.value, fact.note) == ("1 of 2 images", "from \N{MINUS SIGN}1.000 (y) to +0.500 (x)")


def test_where_less_is_better_the_signs_are_turned_round():
    answer = find_answer(make((-0.1, -0.2, -0.05), higher=False))
    assert answer.verdict == "Yes: A is better"
    assert "below B on set. The 95 % interval lies below zero, so the gain" in answer.sentence


def test_a_run_that_goes_on_has_no_answer_yet():
    answer = find_answer(make((0.1, 0.05, 0.2), done=4))
    assert answer.verdict == "Not known yet: the run goes on"
    assert "4 of 10 iterations are done" in answer.sentence
    assert 'http-equiv="refresh"' in render_page(make((0.1, 0.05, 0.2), done=4))


def test_nobody_taught_asks_which_is_best():
    answer = find_answer(make((0.1, 0.05, 0.2), roles=("alone", "baseline")))
    assert (answer.question, answer.verdict) == (BEST, "A")


def test_nothing_to_compare_with_names_the_best():
    answer = find_answer(make(roles=("alone", "alone")))
    assert answer.verdict == "B" and "nothing to compare it with" in answer.sentence


def test_best_and_second_are_marked():
    _, rows = results_table(make((-1.0, -1.1, -0.9)))
    marks = {row[0].text: row[1].mark for row in rows}
    assert marks == {"A": "second", "B": "best"}
