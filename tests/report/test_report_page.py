"""The page of a finished run, read as HTML: complete, escaped, alone."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re

import numpy as np
import pytest
from html_page import read_page
from PIL import Image
from skimage import data as photographs
from tiny_run import IMAGE, STUDENT, TEST_SET

ELSEWHERE = re.compile(r"https?:|//[a-z]|@import|url\(", re.IGNORECASE)


@pytest.fixture(scope="module")
def path(finished):
    return finished / "results" / "tiny" / "report.html"


@pytest.fixture(scope="module")
def elements(path):
    return read_page(path)


@pytest.fixture(scope="module")
def embedded(elements):
    (found,) = [one for one in elements if one.attributes.get("type") == "application/json"]
    return json.loads(found.text)


@pytest.fixture(scope="module")
def results(finished):
    return json.loads((finished / "results" / "tiny" / "results.json").read_text())


def test_names_stay_text(elements):
    assert [one.tag for one in elements].count("script") == 2, "the data and the page's own code"
    assert not [one for one in elements if one.tag == "i"]
    rows = [one.text for one in elements if one.tag == "th" and one.attributes.get("scope") == "row"]
    assert any(text.startswith(STUDENT) for text in rows)


def test_the_data_hold_the_names_as_they_are(embedded):
    assert [model["label"] for model in embedded["models"]] == ["bicubic", STUDENT, "baseline_total"]
    assert [one["name"] for one in embedded["sets"]] == [TEST_SET]
    assert set(embedded["sets"][0]["images"]) == {IMAGE, "coffee"} == {one["image"] for one in embedded["samples"]}


def test_nothing_comes_from_elsewhere(elements):
    for one in elements:
        for name, value in one.attributes.items():
            assert name not in ("src", "href") or re.match(r"data:|#", value or ""), (one.tag, name, value)
            assert not name.startswith("on"), "events are the script's"
    for one in elements:
        if one.tag in ("style", "script"):
            assert not ELSEWHERE.search(re.sub(r'data:image/[^"]*|http://www.w3.org/2000/svg', "", one.text))
    policy = next(one.attributes["content"] for one in elements if one.attributes.get("http-equiv"))
    assert "default-src 'none'" in policy


def test_every_part_is_named_for_who_cannot_see_it(elements):
    assert elements[0].tag == "html" and elements[0].attributes["lang"] == "en"
    identifiers = [one.attributes["id"] for one in elements if "id" in one.attributes]
    assert len(identifiers) == len(set(identifiers))
    for one in elements:
        if one.tag == "img":
            assert one.attributes.get("alt")
        if one.tag == "a":
            assert one.attributes["href"].removeprefix("#") in identifiers
        if one.tag == "th":
            assert one.attributes.get("scope") in ("row", "col")
        if one.attributes.get("role") == "region":
            assert one.attributes.get("aria-label") and one.attributes.get("tabindex") == "0"
    levels = [int(one.tag[1]) for one in elements if re.fullmatch(r"h\d", one.tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_answer_is_that_of_the_results(elements, embedded, results):
    scores = {entry["model"]: entry["sets"][0]["psnr"] for entry in results}
    gain = scores[STUDENT] - scores["baseline_total"]
    (sentence,) = [one.text for one in elements if one.attributes.get("class") == "sentence"]
    assert f"{abs(gain):.3f} dB PSNR {'above' if gain > 0 else 'below'} “baseline_total” on “{TEST_SET}”" in sentence
    (comparison,) = [one for one in embedded["comparisons"] if one["model"] == STUDENT and one["metric"] == "psnr"]
    assert comparison["mean"] == pytest.approx(gain, abs=1e-5)
    assert comparison["low"] <= comparison["mean"] <= comparison["high"] and (
        comparison["images"],
        comparison["seeds"],
    ) == (2, 1)


def test_every_score_is_on_the_page(embedded, results):
    for entry in results:
        for metric in ("psnr", "ssim"):
            (found,) = [one for one in embedded["scores"] if one["model"] == entry["model"] and one["metric"] == metric]
            assert found["runs"] == [pytest.approx(entry["sets"][0][metric], rel=1e-5)]
            images = [image[metric] for image in entry["sets"][0]["images"]]
            assert found["images"] == pytest.approx(images, rel=1e-5)


def test_costs_and_sizes_are_those_of_the_networks(embedded):
    student = next(one for one in embedded["models"] if one["label"] == STUDENT)
    assert student["parameters"] == 12_644
    # FSRCNN(56, 12, 4) x2 on 640x360, layer by layer: 5x5x56 + 56x12 + 4 x 9x12x12 + 12x56 + 9x9x56 a pixel
    assert student["multiply_adds"] == pytest.approx(640 * 360 * (1400 + 672 + 5184 + 672 + 4536), rel=1e-5)
    assert student["iterations"] == [8, 8] and student["role"] == "distilled" and student["teacher"] == "teacher"
    assert student["speed"] > 0


def test_samples_show_the_very_pixels(embedded):
    (sample,) = [one for one in embedded["samples"] if one["image"] == IMAGE]
    assert [one["label"] for one in sample["versions"]] == ["LR", "bicubic", STUDENT, "baseline_total", "HR"]
    pixels = {one["label"]: _pixels(one["source"]) for one in sample["versions"]}
    left, top, width, height = sample["box"]
    whole = photographs.astronaut()[0:200, 120:320]
    assert np.array_equal(pixels["HR"], whole[top : top + height, left : left + width])
    assert pixels["LR"].shape == (height // 2, width // 2, 3)
    assert not np.array_equal(pixels[STUDENT], pixels["baseline_total"])


def test_curves_hold_what_was_logged(embedded):
    found = {(one["phase"], one["key"]): one for one in embedded["curves"]}
    assert found["student", "losses/VID/vid"]["iterations"] == [1, 2, 4, 6, 8]
    assert found["student", "gradient_ratio/L1/l1"]["values"] == [1.0] * 5
    assert ("teacher", "losses/Imitation/imitation") in found
    assert found["baseline_total", f"metrics/{TEST_SET}/psnr"]["iterations"] == [4, 8, 12, 16]


def test_options_that_differ_are_listed(embedded):
    (table,) = embedded["options"]
    rows = {row["key"]: row["values"] for row in table["rows"]}
    assert table["columns"] == [STUDENT, "baseline_total"]
    assert rows["losses[1].type"] == ["VID", ""] and rows["total_iter"] == ["8", "teacher + student"]
    assert "optim.lr" not in rows


def test_the_page_is_small(path):
    assert path.stat().st_size < 3e6


def _pixels(source: str) -> np.ndarray:
    kind, _, content = source.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
