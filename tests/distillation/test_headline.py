"""The top of a distillation's page."""

from __future__ import annotations

from sr_kd.distillation.answer import Closeness, StudentAnswer
from sr_kd.distillation.headline import headline


def answer(own: float | None, **changes: object) -> StudentAnswer:
    closeness = {"mine": Closeness(own, 0.9), "bicubic": Closeness(30.0, 0.8), "shipped x": Closeness(31.0, None)}
    values = {
        "seconds": {"student": 0.01},
        "parameters": {"student": 1000},
        "device": "CPU",
        "images": 1,
        "license": "MIT",
    }
    return StudentAnswer(closeness, **{**values, **changes})  # type: ignore[arg-type]


def test_of_a_teacher_that_is_not_run_nothing_is_said() -> None:
    top = headline({"mine": answer(32.0)})
    assert top.verdict == "32.00 dB"
    assert "on 1 held-out image:" in top.sentence
    assert {fact.name: fact.value for fact in top.facts}["Speed"] == "10 ms"
    assert len(top.cautions) == 1


def test_a_shipped_model_that_is_closer_and_notes_are_named() -> None:
    top = headline({"mine": answer(29.0, notes=("int8 was not written",))})
    assert top.facts[0].tone == "worse"
    assert [caution.split(" is closer")[0][1:-1] for caution in top.cautions[1:3]] == ["bicubic", "shipped x"]
    assert top.cautions[3] == "int8 was not written"


def test_the_closest_of_several_is_the_verdict_and_its_speed_that_of_the_teacher_over_its_own() -> None:
    slow = answer(33.0, seconds={"student": 0.02, "teacher": 0.1}, parameters={"student": 1, "teacher": 9})
    found = StudentAnswer(
        {"other": Closeness(32.5, 0.9), **slow.closeness}, slow.seconds, slow.parameters, "CPU", 2, "MIT"
    )
    top = headline({"mine": slow, "other": found})
    assert top.verdict == "\N{LEFT DOUBLE QUOTATION MARK}mine\N{RIGHT DOUBLE QUOTATION MARK}, 33.00 dB"
    assert [(fact.name, fact.value) for fact in top.facts] == [("mine", "33.00 dB"), ("other", "32.50 dB")]
    assert top.facts[0].note == "1 parameters, 5 times faster"


def test_an_infinite_teacher_has_no_psnr() -> None:
    assert headline({"mine": answer(None)}).facts[0].value == "no PSNR"
