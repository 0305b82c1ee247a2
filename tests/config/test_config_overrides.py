"""``--force_yml``: values, paths, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_kd.config.document import Document
from sr_kd.config.overrides import apply_overrides
from sr_kd.errors import UsageError
from sr_kd.recipes.load import load_recipe


@pytest.mark.parametrize(
    "override", ["phases:student:total_iter=7", "phases.student.total_iter=7", "phases.student:total_iter= 7"]
)
def test_colons_and_dots_name_the_same_path(pisr, override):
    assert load_recipe(pisr(), [override]).length("student") == 7


def test_values_are_yaml(pisr):
    recipe = load_recipe(
        pisr(),
        [
            "seeds=[0, 1]",
            "phases.student.optim.lr=1e-4",
            "datasets.train.use_rot=false",
            "phases.student.losses.1.taps=[{student: mapping, teacher: expanding}]",
            "arms={best: student}",
            "datasets.val_1.filename_tmpl='{}x2'",
            "logger.print_freq=10",
        ],
    )
    assert recipe.seeds == [0, 1]
    assert recipe.phases["student"].optim.lr == 1e-4
    assert not recipe.train.use_rot
    assert recipe.phases["student"].losses[1].taps == [{"student": "mapping", "teacher": "expanding"}]
    assert recipe.arms == {"best": "student"}
    assert recipe.logger.print_freq == 10


def test_a_value_may_hold_an_equals_sign(pisr):
    assert load_recipe(pisr(), ["name=a=b"]).name == "a=b"


def test_a_later_override_wins(pisr):
    assert load_recipe(pisr(), ["scale=3", "scale=4", "datasets.train.gt_size=96"]).scale == 4


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("scale", "write it as a:b=value"),
        (
            "phases.studnt.total_iter=7",
            "there is no 'phases.studnt' (did you mean 'student'?); known: teacher, student",
        ),
        ("phases.student.losses.2.weight=1", "'phases.student.losses' is a list of 2; use 0 to 1"),
        ("name.first=7", "'name' is 'pisr', not a section"),
        ("seeds=[0", "not valid YAML"),
        ("phases.student.total_itr=7", "key 'phases.student.total_itr' is unknown (did you mean 'total_iter'?)"),
        ("loger.print_freq=7", "key 'loger' is unknown (did you mean 'logger'?)"),
        ("scale=two", "key 'scale' must be a whole number; found 'two'"),
    ],
)
def test_a_wrong_override_is_refused_by_name(pisr, override, sentence):
    with pytest.raises(UsageError) as refused:
        load_recipe(pisr(), [override])
    assert str(refused.value).startswith(f"--force_yml {override}: {sentence}")


@given(
    st.lists(st.text("abc", min_size=1), min_size=1, max_size=4),
    st.one_of(st.integers(), st.booleans(), st.lists(st.integers())),
)
def test_what_is_set_is_what_is_found_there(path, value):
    document = apply_overrides(Document("file", {}, {(): "file:1"}), [f"{':'.join(path)}={str(value).lower()}"])
    found = document.data
    for part in path:
        found = found[part]
    assert found == value
    assert document.places[tuple(path)].startswith("--force_yml")
