"""Results for papers: LaTeX that compiles, labels that say what a model is."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.evaluation.labels import label_models
from sr_kd.evaluation.latex import escape, latex_table
from sr_kd.evaluation.scores import ImageScore, SetScore
from sr_kd.evaluation.tables import result_tables
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network

STRANGE = r"a_b & 50% {x} $y$ #1 ~^\ <|>"


def results(**models):
    """Label -> PSNR of two images; SSIM is PSNR / 100."""
    return {
        label: [
            SetScore(
                "Set_5",
                2,
                "rgb8",
                tuple(ImageScore(f"im,{i}", {"psnr": v, "ssim": v / 100}) for i, v in enumerate(values)),
            )
        ]
        for label, values in models.items()
    }


def rows(text):
    return [line.strip() for line in text.splitlines() if line.strip().endswith(r"\\") and "multicolumn" not in line]


def test_best_is_bold_and_second_underlined():
    head, *body = rows(latex_table(results(low=[30, 31], best=[33, 34], second=[32, 33])))
    assert head == r"Model & PSNR & SSIM \\"
    assert body == [
        r"low & 30.500 & 0.3050 \\",
        r"best & \textbf{33.500} & \textbf{0.3350} \\",
        r"second & \underline{32.500} & \underline{0.3250} \\",
    ]


def test_what_looks_equal_is_marked_equal():
    _, *body = rows(latex_table(results(one=[30.00001], other=[30.00002], worse=[29.0])))
    assert [line.split(" & ")[1] for line in body] == [r"\textbf{30.000}", r"\textbf{30.000}", r"\underline{29.000}"]


def test_names_stay_text_in_markdown():
    head, _, row = result_tables(results(**{"a|<b>x": [30, 31]}), "sr-kd").splitlines()[:3]
    assert [len(re.split(r"(?<!\\)\|", line)) for line in (head, row)] == [4, 4]
    assert row.startswith(r"| a\|&lt;b>x |")


def test_identical_images_are_infinite():
    assert r"\textbf{$\infty$}" in latex_table(results(same=[math.inf], other=[30.0]))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="system: needs pdflatex (texlive-latex-recommended)")
def test_the_table_compiles(tmp_path):
    table = latex_table({STRANGE: next(iter(results(x=[30, 31]).values())), **results(other=[32, 33])}, "sr-kd 100%")
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{chr(10)}{table}\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000


def test_every_special_character_is_escaped():
    assert not re.search(r"(?<!\\)[&%$#_~^<>|]", re.sub(r"\\text\w+\{\}", "", escape(STRANGE)))


def test_where_less_is_better_the_least_is_bold():
    images = [ImageScore("x", {"niqe": value}) for value in (5.0, 4.0)]
    head, *body = rows(
        latex_table({name: [SetScore("s", 2, "rgb8", (one,))] for name, one in zip("ab", images, strict=True)})
    )
    assert head == r"Model & NIQE $\downarrow$ \\"
    assert body == [r"a & \underline{5.000} \\", r"b & \textbf{4.000} \\"]


@pytest.fixture
def network_file(tmp_path):
    def save(folder, name="net_g_latest.pth", **metadata):
        torch.manual_seed(0)
        path = tmp_path / folder / name
        save_network(path, build_network("FSRCNN", scale=2), metadata=metadata)
        return str(path)

    return save


def test_networks_of_runs_are_called_after_what_they_are(network_file):
    teacher = network_file("a", recipe="r", phase="student", seed=0)
    other = network_file("b", recipe="r", phase="baseline", seed=0)
    again = network_file("c", recipe="r", phase="baseline", seed=1)
    assert label_models([teacher, other]) == {"student": teacher, "baseline": other}
    assert label_models([other, again]) == {"r baseline seed 0": other, "r baseline seed 1": again}
    assert label_models([f"mine={other}", again, "bicubic"]) == {"mine": other, "baseline": again, "bicubic": "bicubic"}
    best = network_file("b", "net_g_best.pth", recipe="r", phase="baseline", seed=0)
    assert label_models([other, best]) == {"r baseline seed 0 latest": other, "r baseline seed 0 best": best}


def test_networks_that_do_not_tell_are_called_after_their_files(network_file):
    one, two = network_file("a"), network_file("b")
    assert label_models([one]) == {"net_g_latest": one}
    assert label_models([one, two]) == {one: one, two: two}


@pytest.mark.parametrize(("names", "message"), [(["a=x", "a=y"], "two models are called 'a'"), (["=x"], "NAME=MODEL")])
def test_labels_that_cannot_be_are_refused(names, message):
    with pytest.raises(UsageError, match=message):
        label_models(names)
