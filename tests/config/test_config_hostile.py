"""Option files that would take for ever, or more memory than there is, are refused within a second."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sr_kd.config.document import MOST_BYTES, read_document
from sr_kd.config.overrides import apply_overrides
from sr_kd.errors import UsageError
from sr_kd.recipes.check import check_file
from sr_kd.recipes.check_plan import plan_problems
from sr_kd.recipes.graph import phase_order
from sr_kd.recipes.load import load_recipe
from sr_kd.tasks import TASKS

SQUARES = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
MERGES = "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))
HOSTILE = {
    "aliases of aliases": (f"a0: &a0 [x, x]\n{SQUARES}", "with what anchors repeat"),
    "merged keys": (f"a0: &a0 {{k: v}}\n{MERGES}", "with what anchors repeat"),
    "depth": ("a: " + "[" * 60_000, "nested too deeply"),
    "many values": ("a: [" + "[]," * 40_000 + "]", "more than 5,000 values"),
    "size": ("# " + "x" * MOST_BYTES, "an option file is a text of at most 131,072 bytes"),
    "a number in base 60": ("scale: " + ":".join(["59"] * 40_000), "'scale' is a number of 119,999 characters"),
    "a huge number": (f"scale: 0x{'f' * 6000}", "'scale' is a number of 6,002 characters"),
    "no truth value": ("name: !!bool z", "not valid YAML"),
    "no whole number": ("name: !!int ''", "not valid YAML"),
    "no base64": ("name: !!binary zz", "not valid YAML"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_text_is_refused_at_once(tmp_path, case):
    text, message = HOSTILE[case]
    (tmp_path / "options.yml").write_text(text)
    began = time.process_time()
    with pytest.raises(UsageError, match=message):
        read_document(tmp_path / "options.yml")
    assert time.process_time() - began < 5


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "options.yml")
    (tmp_path / "zero.yml").symlink_to("/dev/zero")
    for name in ("options.yml", "zero.yml"):
        with pytest.raises(UsageError, match="is no file of its own"):
            read_document(tmp_path / name)
    with pytest.raises(UsageError, match="no file of its own"):
        read_document(tmp_path)


def test_thousands_of_mistakes_take_no_time(tmp_path):
    values = ", ".join(map(str, range(4500)))
    text = f"name: a\nscale: 2\nmodels: {{a: bicubic}}\ndatasets: {{val: {{name: V, dataroot_gt: [{values}]}}}}\n"
    (tmp_path / "options.yml").write_text(text)
    began = time.process_time()
    with pytest.raises(UsageError, match="must be text; found 0"):
        check_file(tmp_path / "options.yml")
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "key", ["datasets", "networks", "phases", "val", "logger", "path", "arms", "train", "network_g"]
)
@pytest.mark.parametrize("value", ["x", "[1]", "3", "{a: 1}", "{a: {b: [1, {c: d}]}}", "~"])
def test_nonsense_in_any_section_is_refused_in_sentences(tmp_path, key, value):
    """Also together with what else is wrong: the folder of images is missing."""
    layouts: list[dict[str, str]] = [
        {"network_g": "{type: FSRCNN}", "train": "{total_iter: 3}"},
        {"networks": "{a: {type: FSRCNN}}", "phases": "{p: {trains: a, total_iter: 3}}"},
    ]
    options = {"name": "b", "scale": "2", "datasets": "{train: {dataroot_gt: /nowhere}}"}
    options |= layouts[key not in ("train", "network_g")] | {key: value}
    file = Path(tmp_path / "options.yml")
    file.write_text("".join(f"{name}: {text}\n" for name, text in options.items()))
    with pytest.raises(UsageError) as caught:
        check_file(file)
    places = [line for line in str(caught.value).splitlines() if not line.endswith(" problems")]
    assert places and all(line.startswith(f"{file}:") for line in places)


@pytest.mark.parametrize("type", ["{}", "{a: 1}", "[L1Loss]", "~"])
def test_a_type_of_basicsr_that_is_no_name_is_refused_in_a_sentence(tmp_path, type):
    (tmp_path / "options.yml").write_text(
        "name: a\nmodel_type: SRModel\nscale: 2\nnetwork_g: {type: FSRCNN}\n"
        "datasets: {train: {type: PairedImageDataset, dataroot_gt: /nowhere}}\n"
        f"train: {{total_iter: 4, pixel_opt: {{type: {type}}}}}\n"
    )
    with pytest.raises(UsageError, match=r"options\.yml:6: key 'train\.pixel_opt\.type' is"):
        check_file(tmp_path / "options.yml")


SUMS = "".join(f"  p{i}: {{trains: a, total_iter: p{i - 1} + 1}}\n" for i in range(1, 600))


def write_recipe(folder: Path, phases: str) -> Path:
    file = folder / "options.yml"
    head = "name: b\nscale: 2\nnetworks: {a: {type: FSRCNN}}\ndatasets: {train: {dataroot_gt: /nowhere}}\nphases:\n"
    file.write_text(head + phases)
    return file


def test_phases_that_meet_again_and_again_take_no_time(tmp_path):
    """Each is twice as long as the one before, and 2^39 ways lead from the last to the first."""
    middle = "".join(
        f"  p{i}: {{trains: a, needs: [p{i - 1}, q{i - 1}], total_iter: p{i - 1} + p{i - 1}}}\n"
        f"  q{i}: {{trains: a, needs: [p{i - 1}, q{i - 1}], total_iter: 2}}\n"
        for i in range(1, 40)
    )
    first = "  p0: {trains: a, total_iter: 1}\n  q0: {trains: a, total_iter: 1}\n"
    recipe = load_recipe(write_recipe(tmp_path, first + middle))
    began = time.process_time()
    assert recipe.length("p39") == 2**39
    assert phase_order(recipe)[-2:] == ["p39", "q39"]
    assert not list(plan_problems(recipe, TASKS.get("super_resolution")))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (f"  p0: {{trains: a, total_iter: 1}}\n{SUMS}", "within more than 50 sums"),
        (f"  p: {{trains: a, total_iter: '{'1' * 5000}'}}\n", "is no phase"),
        (f"  p: {{trains: a, total_iter: '{'0' * 100_000}x'}}\n", "is no phase"),
        ('  "\\ud800": {trains: a, total_iter: 1}\n', "holds half a character"),
        ('  p: {trains: "\\ud800", total_iter: 1}\n', "holds half a character"),
    ],
)
def test_phases_that_cannot_be_are_refused_at_once(tmp_path, phases, message):
    file, began = write_recipe(tmp_path, phases), time.process_time()
    with pytest.raises(UsageError, match=message):
        check_file(file)
    assert time.process_time() - began < 5


def test_an_override_of_endless_keys_is_refused_at_once(tmp_path):
    document, began = read_document(write_recipe(tmp_path, "  p: {trains: a, total_iter: 1}\n")), time.process_time()
    with pytest.raises(UsageError, match="20,001 keys within each other"):
        apply_overrides(document, ["a:" * 20_000 + "b=1"])
    assert time.process_time() - began < 5
