"""Markdown and JSON of scores."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from sr_kd.evaluation.latex import latex_table
from sr_kd.evaluation.scores import ImageScore, SetScore
from sr_kd.evaluation.tables import comparison_table, csv_text, difference_table, json_result, result_tables


def score(name: str, *psnr: float) -> SetScore:
    return SetScore(
        name, 2, "rgb8", tuple(ImageScore(f"{n}", {"psnr": value, "ssim": 0.95}) for n, value in enumerate(psnr))
    )


def test_a_table_says_what_was_measured_and_how() -> None:
    results = {
        "bicubic": [[score("Set5", 33.0, 34.3466), score("Set14", 30.23)]],
        "FSRCNN": [[score("Set5", 36.0, 38.0), score("Set14", 32.5)]],
    }
    text = comparison_table(results, "sr-kd evaluate -n bicubic")
    lines = text.splitlines()
    assert lines[0] == "| model | Set5 | Set14 |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2] == "| bicubic | 33.673 / 0.9500 | 30.230 / 0.9500 |"
    assert lines[3] == "| FSRCNN | 37.000 / 0.9500 | 32.500 / 0.9500 |"
    assert lines[5] == "Scores: PSNR (dB, peak 255) / SSIM (11x11 Gaussian)."
    assert lines[7].startswith("x2, protocol rgb8: 8-bit RGB LR")
    assert lines[-1] == "Command: `sr-kd evaluate -n bicubic`"
    assert text.endswith("\n")


def test_several_runs_are_shown_with_their_spread() -> None:
    runs = {"PISR": [[score("Set5", 36.0)], [score("Set5", 36.2)]], "bicubic": [[score("Set5", 33.0)]]}
    lines = comparison_table(runs).splitlines()
    assert lines[2] == "| PISR (2 seeds) | 36.100 ± 0.141 / 0.9500 ± 0.0000 |"
    assert lines[3] == "| bicubic | 33.000 / 0.9500 |"


def test_identical_images_are_announced() -> None:
    text = comparison_table({"m": [[score("A", math.inf), score("B", math.inf, 30.0)]]})
    assert "| m | inf / 0.9500 | 30.000 / 0.9500 |" in text
    assert "m, B: 1 of 2 images are identical to HR (PSNR inf) and are left out of the mean PSNR." in text


def test_a_metric_that_was_not_measured_is_left_out() -> None:
    only_psnr = SetScore("A", 2, "rgb8", (ImageScore("0", {"psnr": 30.0}),))
    assert "| m | 30.000 |" in comparison_table({"m": [[only_psnr]]})


def test_json_is_exactly_as_documented() -> None:
    found = json_result("bicubic", [score("Set5", math.inf, 34.0)])
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "model": "bicubic",
        "scale": 2,
        "protocol": "rgb8",
        "sets": [
            {
                "name": "Set5",
                "psnr": 34.0,
                "ssim": pytest.approx(0.95),
                "images": [{"name": "0", "psnr": None, "ssim": 0.95}, {"name": "1", "psnr": 34.0, "ssim": 0.95}],
            }
        ],
    }


def test_differences_to_a_baseline() -> None:
    results = {"base": [[score("Set5", 30.0, 31.0, 32.0)]], "new": [[score("Set5", 30.5, 31.5, 32.5)]]}
    lines = difference_table(results, "base").splitlines()
    assert lines[0] == "| difference | metric | Set5 |"
    assert lines[2] == "| new - base | PSNR | +0.500 (+0.500 to +0.500) |"
    assert lines[3] == "| new - base | SSIM | +0.0000 (+0.0000 to +0.0000) |"
    assert lines[5] == "Intervals: 95 %, t over the images. One seed: training noise is not included."


def test_differences_over_seeds_take_a_single_run_against_all() -> None:
    runs = [[score("Set5", 30.0, 31.0)], [score("Set5", 30.2, 31.2)], [score("Set5", 30.4, 31.4)]]
    text = difference_table({"bicubic": [[score("Set5", 29.0, 30.0)]], "new": runs}, "bicubic")
    # Between seeds the deviation is 0.2, between images 0: 1.2 +- t(2) * 0.2 / sqrt(3)
    assert "| new - bicubic | PSNR | +1.200 (+0.703 to +1.697) |" in text
    assert "Intervals: 95 %, over 3 seeds and the images together" in text
    assert "One seed" not in text


def test_a_single_image_has_no_interval() -> None:
    text = difference_table({"base": [[score("A", 30.0)]], "new": [[score("A", 31.0)]]}, "base")
    assert "| new - base | PSNR | +1.000 |" in text


def test_values_that_are_not_finite_are_announced_for_any_metric() -> None:
    found = SetScore("A", 2, "rgb8", (ImageScore("0", {"vif": math.nan}), ImageScore("1", {"vif": 0.5})))
    text = comparison_table({"m": [[found]]})
    assert "| m | 0.5000 |" in text
    assert "m, A: 1 of 2 images have no finite VIF and are left out of the mean VIF." in text
    assert json_result("m", [found])["sets"][0]["images"] == [{"name": "0", "vif": None}, {"name": "1", "vif": 0.5}]


def test_csv_has_a_line_per_image() -> None:
    assert csv_text({"m, large": [score("Set5", math.inf, 34.0)]}).splitlines() == [
        "model,scale,protocol,set,image,psnr,ssim",
        '"m, large",2,rgb8,Set5,0,inf,0.95',
        '"m, large",2,rgb8,Set5,1,34.0,0.95',
    ]


def test_lr_from_files_is_said_of_the_sets_that_bring_it() -> None:
    made, brought = score("Set5", 33.0), replace(score("Urban", 30.0), lr_from_files=True)
    alone = comparison_table({"m": [[brought]]})
    assert "x2, protocol rgb8: LR from files; 8-bit RGB LR, SR rounded" in alone
    assert "MATLAB" not in alone
    mixed = comparison_table({"m": [[made, brought]]})
    assert "x2, protocol rgb8 of Set5: 8-bit RGB LR (MATLAB bicubic" in mixed
    assert "x2, protocol rgb8 of Urban: LR from files; 8-bit RGB LR" in mixed


def test_a_name_of_a_stranger_is_text_in_every_table() -> None:
    """On a terminal, in a Markdown page, in LaTeX and in a spreadsheet."""
    name = "=1+1\x1b[31m\r\n\n\\input{x}|<b>[l](u)"
    score = SetScore(name, 2, "rgb8", (ImageScore(name, {"psnr": 30.0}), ImageScore("-rf", {"psnr": math.inf})))
    texts = result_tables({name: [score]}, f"sr-kd {name}"), latex_table({name: [score]}, f"sr-kd {name}")
    for text in (*texts, csv_text({name: [score]})):
        assert "\x1b" not in text and "\r" not in text
    for line in texts[0].splitlines():
        assert line.startswith("Command") or not ("<b>" in line or "[l](u)" in line)
    assert len(texts[0].splitlines()) == len(result_tables({"a": [score]}, "b").splitlines())
    assert all(line.startswith("%") for line in texts[1].splitlines() if r"\input{" in line)
    assert [row[4] for row in csv.reader(io.StringIO(csv_text({name: [score]})))][1:] == [
        r"'=1+1\x1b[31m\r\n\n\input{x}|<b>[l](u)",
        "'-rf",
    ]
