"""``sr-kd report`` on runs: by folder or option file, one or several, finished or not; and while a run trains."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from html_page import read_page
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import IMAGE, TEST_SET, write_options

from sr_kd.distributed import World
from sr_kd.errors import SrKdError, UsageError
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.invocation import Invocation, read_invocation, write_invocation
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.run import run_recipe
from sr_kd.recipes.run_options import RunOptions
from sr_kd.recipes.workspace import Workspace
from sr_kd.report.gather import gather
from sr_kd.report.run import Run, find_run
from sr_kd.report.write import page_path, refresh_page
from sr_kd.training.run_log import RunLog
from sr_kd.training.scalars import FILE, ScalarFile, read_scalars

WORLD = World(0, 1, torch.device("cpu"))


def verdict(path):
    (found,) = [one.text for one in read_page(path) if one.attributes.get("class") == "verdict"]
    return found


def test_a_folder_and_its_option_file_are_the_same_run(finished):
    by_file, by_folder = find_run(finished / "tiny.yml"), find_run(finished / "experiments" / "tiny")
    assert by_folder.recipe.model_dump() == by_file.recipe.model_dump()
    assert by_folder.workspace.results == by_file.workspace.results
    assert by_folder.command.startswith("sr-kd train -opt ")


def test_a_folder_that_was_moved_is_reported_where_it_is(finished, tmp_path, run_cli):
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    done = run_cli(
        "report", tmp_path / "experiments" / "tiny", "--html", tmp_path / "page.html", "--quiet", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert verdict(tmp_path / "page.html") == verdict(finished / "results" / "tiny" / "report.html")


def test_every_option_file_survives_its_record(repository, tmp_path):
    files = sorted((repository / "options" / "train").rglob("*.yml"))
    assert len(files) > 20
    for file in files:
        recipe = load_recipe(file)
        folder = tmp_path / "experiments" / recipe.name
        write_invocation(folder, recipe, Invocation(str(file), "the command"))
        found, invocation = read_invocation(folder)
        assert found.model_dump(exclude={"path"}) == recipe.model_dump(exclude={"path"}), file
        assert invocation.command == "the command"


def test_two_runs_share_a_page(finished, images, tmp_path, run_cli):
    path = write_options(tmp_path, images, name="other", seeds=[7])
    assert run_cli("train", "-opt", path, "--quiet", "--device", "cpu").returncode == 0
    folders = [finished / "experiments" / "tiny", tmp_path / "experiments" / "other"]
    done = run_cli("report", *folders, "--html", tmp_path / "both.html", "--quiet", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    text = next(
        one.text for one in read_page(tmp_path / "both.html") if one.attributes.get("type") == "application/json"
    )
    embedded = json.loads(text)
    assert [model["label"].split(":")[0] for model in embedded["models"]] == [
        "bicubic",
        "tiny",
        "tiny",
        "other",
        "other",
    ]
    assert {one["title"]: [row["key"] for row in one["rows"]] for one in embedded["options"]}["Runs"] == [
        "name",
        "seeds",
    ]
    assert [model["role"] for model in embedded["models"]].count("baseline") == 1


def test_two_runs_of_one_name_are_called_after_their_folders(finished, tmp_path):
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    runs = [find_run(root / "experiments" / "tiny") for root in (finished, tmp_path)]
    data = gather(runs)
    common = Path(os.path.commonpath([finished, tmp_path]))
    assert data.title == ", ".join(f"{root.relative_to(common)}/experiments/tiny" for root in (finished, tmp_path))
    assert len({model.label for model in data.models}) == len(data.models) > 3
    with pytest.raises(UsageError, match="a run is named twice"):
        gather([runs[0], runs[0]])


def test_a_page_can_be_watched_while_the_run_trains(images, tmp_path):
    recipe = load_recipe(write_options(tmp_path, images))
    run = Run(recipe, Workspace(recipe))
    seen = []

    def watch():
        refresh_page(run)
        (sentence,) = [one.text for one in read_page(page_path(run)) if one.attributes.get("class") == "sentence"]
        seen.append(sentence)

    run_recipe(check_recipe(recipe), WORLD, RunOptions(watch=watch))
    done = [int(re.match(r"(\d+) of 32 iterations", sentence)[1]) for sentence in seen[:-1]]
    assert done == [4, 8, 12, 16, 20, 24, 28]


def test_an_unfinished_run_has_a_page_and_no_tables(finished, tmp_path, run_cli):
    shutil.copytree(finished / "experiments", tmp_path / "experiments")
    (tmp_path / "experiments" / "tiny" / "training_states" / "baseline_total" / "finished.json").unlink()
    done = run_cli("report", tmp_path / "experiments" / "tiny", "--html", tmp_path / "page.html", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "tiny is not finished" in done.stdout and "table.md" not in done.stdout
    assert verdict(tmp_path / "page.html").startswith("Not known yet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a run"),
        (["missing.yml"], "missing.yml"),
        (["."], "is no folder of a run"),
        ([".", "--force_yml", "a=1"], "--force_yml goes with an option file"),
    ],
)
def test_what_is_no_run_is_refused(arguments, message, tmp_path, run_cli):
    done = run_cli("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_record_is_one_sentence(finished, tmp_path):
    (tmp_path / "options.json").write_text('{"options": {"name": "x"}')
    with pytest.raises(SrKdError, match=r"options\.json is damaged; name the run's option file"):
        find_run(tmp_path)


def test_runs_of_other_scales_share_no_page(finished, images, tmp_path):
    other = load_recipe(write_options(tmp_path, images, name="other", scale=3))
    with pytest.raises(UsageError, match="cannot share a report: their scale is 2 and 3"):
        gather([find_run(finished / "tiny.yml"), Run(other, Workspace(other))])


def test_scalars_of_a_resumed_run_are_there_once(tmp_path):
    path = tmp_path / FILE
    before = ScalarFile(path, 0)
    for iteration in (5, 10, 15):
        before.add(iteration, {"losses/total": iteration / 10})
    with path.open("a") as file:
        file.write('{"iteration": 20, "val')  # a kill
    after = ScalarFile(path, 10)
    after.add(15, {"losses/total": 9.0})
    assert list(read_scalars(path)) == [
        (5, {"losses/total": 0.5}),
        (10, {"losses/total": 1.0}),
        (15, {"losses/total": 9.0}),
    ]


def test_a_resumed_run_has_every_step_once_in_tensorboard(tmp_path):
    """The validation of the step that it resumes from comes again; nothing else of that step does."""
    for start, last in ((0, 3), (2, 4)):
        with RunLog(tmp_path, start, tmp_path / FILE) as log:
            if start:
                log.scalars(start, {"metrics/val/psnr": 30.0})
            for iteration in range(start + 1, last + 1):
                log.scalars(iteration, {"losses/total": iteration / 10 + start})
                log.scalars(iteration, {"metrics/val/psnr": 20.0 + iteration})
    events = EventAccumulator(str(tmp_path)).Reload()
    losses = [(event.step, round(event.value, 3)) for event in events.Scalars("losses/total")]
    assert losses == [(1, 0.1), (2, 0.2), (3, 2.3), (4, 2.4)]
    assert [(event.step, event.value) for event in events.Scalars("metrics/val/psnr")] == [
        (1, 21.0),
        (2, 30.0),
        (3, 23.0),
        (4, 24.0),
    ]
    assert [iteration for iteration, _ in read_scalars(tmp_path / FILE)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_tensorboard_shows_what_the_losses_see_at_every_validation(finished):
    events = EventAccumulator(str(finished / "tb_logger" / "tiny" / "student"), size_guidance={"images": 0}).Reload()
    tag = "features/VID/expanding: error, predicted scale"
    assert [tag] == [name for name in events.Tags()["images"] if name.startswith("features/")]
    found = events.Images(tag)
    assert [event.step for event in found] == [4, 8]
    for event in found:
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        assert pixels.shape[:2] == (2 * 16, 2 * 16), "two patches of 16x16 positions, two maps"
        assert pixels.min() == 0 and pixels.max() == 255


def test_tensorboard_shows_what_the_privileged_teacher_makes_of_hr(finished):
    events = EventAccumulator(str(finished / "tb_logger" / "tiny" / "teacher"), size_guidance={"images": 0}).Reload()
    (tag,) = events.Tags()["images"]
    strip = np.asarray(Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string)))
    low, compact, sr, hr, error = np.split(strip.astype(int), 5, axis=1)
    assert all(np.array_equal(each[::2, ::2], each[1::2, 1::2]) for each in (low, compact)), "at LR size, enlarged"
    assert np.array_equal(error, np.minimum(255, 8 * np.abs(sr - hr)))
    assert 0 < np.abs(low - hr).mean() < 10 and np.abs(sr - hr).any()


def test_tensorboard_shows_the_same_image_beside_hr_and_what_was_chosen(finished):
    folder = finished / "tb_logger" / "tiny"
    for phase in ("student", "baseline_total"):
        events = EventAccumulator(str(folder / phase), size_guidance={"images": 0}).Reload()
        (tag,) = [name for name in events.Tags()["images"] if not name.startswith("features/")]
        assert tag == f"{TEST_SET}/coffee" or tag == f"{TEST_SET}/{IMAGE}"
        strip = np.asarray(Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string)))
        side = strip.shape[0]
        assert strip.shape == (side, 5 * side, 3)
        low, bicubic, sr, hr, error = np.split(strip.astype(int), 5, axis=1)
        assert np.array_equal(low[::2, ::2], low[1::2, 1::2])
        assert np.array_equal(error, np.minimum(255, 8 * np.abs(sr - hr)))
        assert np.abs(bicubic - hr).mean() < 20
        assert "_hparams_/session_start_info" in events.Tags()["scalars"] or any(
            "_hparams_" in name for name in events.summary_metadata
        )
