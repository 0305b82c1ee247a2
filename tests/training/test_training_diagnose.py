"""The diagnosis before a run: which weights it looks at, and that it says so."""

from __future__ import annotations

import torch
from digits import CPU, digits_recipe, run

from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.diagnose import diagnose_recipe

STUDENT = {"losses": [{"type": "CrossEntropy"}, {"type": "Hint", "taps": ["stage2"]}, {"type": "SoftLabel"}]}


def test_the_teacher_is_the_finished_one_as_soon_as_there_is_one(tmp_path):
    phases = {"teacher": {"trains": "teacher"}, "student": {"trains": "student", "needs": ["teacher"]} | STUDENT}
    recipe = digits_recipe(tmp_path, phases)
    (before,) = diagnose_recipe(check_recipe(recipe), CPU)
    assert (before.phase, before.task) == ("student", "CrossEntropy")
    assert before.state == "teacher with first weights: teacher is not finished"
    assert [row.name for row in before.rows] == ["Hint/hint", "SoftLabel/soft_label"]
    run(recipe)
    torch.manual_seed(7)
    (after,) = diagnose_recipe(check_recipe(recipe), CPU)
    assert after.state == "teacher from the finished teacher"
    assert after.rows[0].value != before.rows[0].value
    (again,) = diagnose_recipe(check_recipe(recipe), CPU)
    assert again == after  # nothing was trained, and no random state matters


def test_a_partner_is_measured_too(tmp_path):
    recipe = digits_recipe(tmp_path, {"mutual": {"trains": "student", "partner": "teacher"} | STUDENT})
    (found,) = diagnose_recipe(check_recipe(recipe), CPU)
    assert found.state == "partner with its first weights"
    assert all(row.gradient > 0 for row in found.rows)
