"""The page of a task whose networks make no images."""

from __future__ import annotations

import json

import pytest
import yaml
from html_page import read_page


@pytest.fixture(scope="module")
def elements(run_cli, tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    digits, resnet = "scikit-learn:digits", {"type": "ResNet", "classes": 10, "channels": 1, "blocks": 1}
    of_teacher, of_student = (
        {"trains": name, "total_iter": 2, "losses": [{"type": "CrossEntropy"}]} for name in ("teacher", "student")
    )
    taught = of_student | {"needs": ["teacher"], "losses": [{"type": "CrossEntropy"}, {"type": "SoftLabel"}]}
    recipe = {
        "name": "digits",
        "task": "classification",
        "seeds": [0, 1],
        "datasets": {"train": {"dataroot": digits, "batch_size_per_gpu": 16}, "val": {"dataroot": digits}},
        "networks": {"teacher": resnet | {"width": 4}, "student": resnet | {"width": 2}},
        "phases": {"teacher": of_teacher, "student": taught, "alone": of_student},
        "arms": {"teacher": "teacher", "taught": "student", "alone": "alone"},
    }
    (folder / "digits.yml").write_text(yaml.safe_dump(recipe))
    done = run_cli("train", "-opt", "digits.yml", "--quiet", "--device", "cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    return read_page(folder / "results" / "digits" / "report.html")


def test_it_tells_what_a_network_costs_to_use(elements):
    (found,) = [one for one in elements if one.attributes.get("type") == "application/json"]
    parameters = {model["label"]: model["parameters"] for model in json.loads(found.text)["models"]}
    assert parameters["taught"] == parameters["alone"] and parameters["teacher"] > 3 * parameters["alone"]
    costs = [one.text for one in elements if one.tag == "dd"]
    assert f"the same{parameters['alone']:,} parameters" in costs


def test_it_says_what_was_measured_and_nothing_of_images(elements):
    assert any(one.text.endswith("Measured on digits.") for one in elements if one.tag == "p")
    assert not {one.attributes.get("id") for one in elements} & {"images", "features"}
