"""Reading option files: numbers, anchors, and messages with file, line, key and nearest name."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_kd.config.document import parse_value, read_document
from sr_kd.errors import UsageError
from sr_kd.recipes.check import check_test_file
from sr_kd.recipes.load import load_recipe, parse_test, read_options
from sr_kd.tasks.super_resolution.options import EvaluationSet, SuperResolutionRecipe


def refusal(path, *overrides, load=load_recipe) -> str:
    with pytest.raises(UsageError) as refused:
        load(path, overrides)
    return str(refused.value)


def test_a_recipe_is_read_with_its_defaults(pisr):
    recipe = load_recipe(pisr())
    assert recipe.train.dataroot_gt == ["scikit-image:train"]
    assert [images.protocol for images in recipe.validation_sets] == ["rgb8"]
    assert recipe.phases["student"].init.source == "teacher"
    assert recipe.phases["student"].losses[1].weight == 1e-6
    assert recipe.phases["student"].optim.lr == 1e-3
    assert recipe.length("baseline_total") == 500


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "+1e-4", "!!float 1e-4", "1.0e-4", "0.0001"])
def test_every_way_to_write_a_number_is_a_number(pisr, text):
    assert load_recipe(pisr(("weight: 1e-6", f"weight: {text}"))).phases["student"].losses[1].weight == 1e-4


def test_an_exponent_may_stand_for_a_whole_number(pisr):
    assert load_recipe(pisr(("total_iter: 300", "total_iter: 1e5"))).length("baseline_total") == 100_200


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_however_python_writes_it(number):
    for text in (repr(number), f"{number:.17e}", f"{number:.17E}"):
        assert parse_value(text, "value") == number


def test_merge_keys_keep_the_line_where_a_key_was_written(pisr):
    merged = pisr(
        ("    total_iter: 300\n", "    total_iter: 300\n    optim: &adam {type: Adam, lr: 1e-3}\n"),
        ("    total_iter: 200\n", "    total_iter: 200\n    optim:\n      <<: *adam\n      lr: 1e-4\n"),
    )
    recipe = load_recipe(merged)
    assert (recipe.phases["teacher"].optim.lr, recipe.phases["student"].optim.lr) == (1e-3, 1e-4)
    merged.write_text(merged.read_text().replace("Adam", "Adm").replace("lr: 1e-4", "lr: 0"))
    assert [line.split(" must be")[0] for line in refusal(merged).splitlines()[1:]] == [
        f"{merged}:13: key 'phases.teacher.optim.type'",
        f"{merged}:13: key 'phases.student.optim.type'",
        f"{merged}:24: key 'phases.student.optim.lr'",
    ]


def test_an_unknown_key_is_refused_with_line_nearest_and_allowed_names(pisr):
    path = pisr(("gt_size: 64", "gt_sise: 64"))
    assert refusal(path) == (
        f"{path}:4: key 'datasets.train.gt_sise' is unknown (did you mean 'gt_size'?); allowed: batch_size_per_gpu, "
        "dataroot_gt, dataroot_lq, degradation, filename_tmpl, fixed_batches, gt_size, io_backend, memory_budget, "
        "meta_info_file, name, num_worker_per_gpu, use_hflip, use_rot"
    )


def test_a_missing_key_is_named_with_the_line_of_its_section(pisr):
    path = pisr(("    trains: student\n    init", "    init"))
    assert refusal(path) == f"{path}:16: key 'phases.student.trains' is missing"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("scale: 2", "scale: two", ":2: key 'scale' must be a whole number; found 'two'"),
        ("scale: 2", "scale: 1", ":2: key 'scale' must be at least 2; found 1"),
        ("gt_size: 64", "gt_size: true", ":4: key 'datasets.train.gt_size' must be a value other than true and false"),
        ("gt_size: 64", "gt_size: 64.5", ":4: key 'datasets.train.gt_size' must be a whole number; found 64.5"),
        ("gt_size: 64", "use_rot: often", ":4: key 'datasets.train.use_rot' must be true or false; found 'often'"),
        ("gt_size: 64", "memory_budget: .inf", "'datasets.train.memory_budget' must be a finite number; found inf"),
        ("needs: [teacher]", "needs: teacher", ":17: key 'phases.student.needs' must be a list; found 'teacher'"),
        ("total_iter: 200", "total_iter: 0.5", ":20: key 'phases.student.total_iter' must be a whole number or text"),
        ("weight: 1e-6", "weight: low", "key 'phases.student.losses[1].weight' must be a number or a mapping"),
        ("weight: 1e-6", "weight: -1", ":23: key 'phases.student.losses[1].weight' must be at least 0"),
        (
            "weight: 1e-6",
            "weight: {vid: -1}",
            "key 'phases.student.losses[1].weight.vid' must be at least 0.0; found -1",
        ),
        ("gt_size: 64", "num_worker_per_gpu: -1", ":4: key 'datasets.train.num_worker_per_gpu' must be at least 0"),
        (
            "total_iter: 300",
            "total_iter: 300\n    scheduler: {type: multistep}",
            ":13: key 'phases.teacher.scheduler' "
            "must be a mapping with 'milestones', the iterations at which a multistep rate falls; found",
        ),
        ('"scikit-image:train"', '""', ":4: key 'datasets.train.dataroot_gt' must be a path (that of the current "),
        ('"scikit-image:train"', '["a", " "]', "'datasets.train.dataroot_gt[1]' must be a path"),
        ("gt_size: 64", "meta_info_file: ''", ":4: key 'datasets.train.meta_info_file' must be a path"),
        ("phases:", "path: {experiments_root: ''}\nphases:", ":9: key 'path.experiments_root' must be a path"),
        ("type: FSRCNN}\nphases", "type: FSRCNN, path: ''}\nphases", ":8: key 'networks.student.path' must be a path"),
        ("taps: [expanding]", "taps: [{studnt: a}]", ":23: key 'phases.student.losses[1].taps[0].studnt' is unknown"),
        ("type: FSRCNN}\nphases", "d: 56}\nphases", ":8: key 'networks.student.type' is missing"),
        (
            "phases:",
            "phasess:",
            ":9: key 'phasess' is unknown (did you mean 'phases'?); allowed: arms, baseline, datasets",
        ),
        ("val_1:", "valid:", ":5: key 'datasets.valid' is no kind of set; allowed: train, val, val_1..."),
        ("name: pisr", "name: 7", ":1: key 'name' must be text; found 7"),
        (
            '"scikit-image:held_out"',
            '"scikit-image:held_out", protocol: rbg8',
            ":5: key 'datasets.val_1.protocol' must be 'rgb8', 'yfloat', 'basicsr' or 'rgb'; "
            "found 'rbg8' (did you mean 'rgb8'?)",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_found_and_what_is_allowed(pisr, old, new, sentence):
    path = pisr((old, new))
    message = refusal(path)
    assert str(path) in message
    assert sentence in message


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(pisr):
    path = pisr(("weight: 1e-6", "weight: low"), ("gt_size", "gt_sise"), ("total_iter: 300", "total_itr: 300"))
    lines = refusal(path).splitlines()
    assert lines[0] == "4 problems"  # the changes, and the total_iter that is missing
    places = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in lines[1:]]
    assert places == [4, 10, 12, 23]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: a\nscale: [2\n", ":3: not valid YAML: "),
        ("name: a\n\tscale: 2\n", ":2: not valid YAML: "),
        ("name: a\nname: b\n", ":2: key 'name' is given twice (first in line 1)"),
        ("val: {val_freq: 1, val_freq: 1}\n", ":1: key 'val.val_freq' is given twice (first in line 1)"),
        ("1: a\n", ":1: key '1' is not text: write it in quotes"),
        ("name: &a [*a]\n", ":1: the anchor of 'name[0]' contains itself"),
        ("name: !!python/object:os.system x\n", ":1: not valid YAML: could not determine a constructor"),
        ("name: " + "[" * 3000 + "]" * 3000, ":1: nested too deeply for an option file"),
        ("- a\n", ":1: an option file is a mapping of keys; found list"),
        ("", ":1: an option file is a mapping of keys; found nothing"),
    ],
)
def test_what_is_no_option_file_gets_one_sentence_with_its_line(write_options, text, sentence):
    path = write_options(text)
    message = refusal(path)
    assert message.startswith(f"{path}{sentence}")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("name: pisr", "name: '.'"), ":1: key 'name' must be a plain name"),
        (("name: pisr", "name: ../pisr"), ":1: key 'name' must be a plain name"),
        (('held_out"', 'held_out", name: a/b'), ":5: key 'datasets.val_1.name' must be a plain name"),
        (("phases:", "val: {metrics: []}\nphases:"), ":9: key 'val.metrics' must be a list of at least 1"),
        (("total_iter: 300", "optim: {betas: [1, 1]}\n    total_iter: 300"), "optim.betas[0]' must be less than 1"),
        (
            ("total_iter: 300", "optim: {type: SGD, momentum: 0, nesterov: true}\n    total_iter: 300"),
            "optim.nesterov' must be false where momentum is 0",
        ),
    ],
)
def test_values_that_would_fail_later_or_lead_elsewhere(pisr, change, sentence):
    assert sentence in refusal(pisr(change))


def test_images_of_a_classification_may_only_be_declined(write_options):
    text = """\
name: digits
task: classification
datasets: {train: {dataroot: "scikit-learn:digits"}}
networks: {student: {type: ResNet, classes: 10}}
phases: {student: {trains: student, total_iter: 1}}
val: {save_img: false}
"""
    assert load_recipe(write_options(text)).val.save_img is False
    assert "key 'val.save_img' must be False" in refusal(write_options(text, ("save_img: false", "save_img: true")))


def test_a_missing_file_names_its_nearest_neighbor(pisr, tmp_path):
    pisr()
    assert (
        refusal(tmp_path / "option.yml")
        == f"there is no option file {tmp_path}/option.yml (did you mean 'options.yml'?); "
        "'sr-kd recipes' lists the packaged ones"
    )
    assert refusal("pisr/fsrcn_x2_cpu").startswith(
        "there is no option file pisr/fsrcn_x2_cpu (did you mean 'pisr/fsrcnn_x2_cpu'?)"
    )


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "weights.yml"
    path.write_bytes(b"\x80\x02\xff\xfe")
    assert refusal(path) == f"{path}:1: not UTF-8 text, as option files are; save the file as UTF-8"


def test_training_and_test_files_are_not_mixed_up(pisr, write_options):
    assert "sr-kd train" in refusal(pisr(), load=check_test_file)
    test = write_options("name: t\ndatasets: {test_1: {dataroot_gt: a}}\nmodels: {a: bicubic}\n")
    assert "sr-kd test" in refusal(test)


def test_a_test_file_is_read(write_options):
    path = write_options(
        "name: t\nscale: 3\nmodels: {Bicubic: bicubic, ours: a.pth}\n"
        "datasets:\n  test_1: {dataroot_gt: a, protocol: yfloat}\n  test_2: {dataroot_gt: b}\nval: {save_img: true}\n"
    )
    recipe = parse_test(read_options(path))[0]
    assert recipe.models == {"Bicubic": "bicubic", "ours": "a.pth"}
    assert [(images.dataroot_gt, images.protocol) for images in recipe.sets] == [(["a"], "yfloat"), (["b"], "rgb8")]
    assert recipe.save_img


def test_places_know_every_key_of_a_file(pisr):
    document = read_document(pisr())

    def paths(value, path=()):
        yield path
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            yield from paths(child, (*path, key))

    assert set(paths(document.data)) == set(document.places)


def test_a_debug_run_is_short_and_has_a_name_of_its_own(pisr):
    recipe = load_recipe(pisr(), debug=True)
    assert recipe.name == "debug_pisr"
    assert {recipe.length(phase) for phase in recipe.phases} == {8}
    assert (recipe.val.val_freq, recipe.logger.print_freq) == (4, 1)


def test_a_recipe_made_in_python_has_messages_without_a_file():
    recipe = SuperResolutionRecipe(name="a", scale=2, train={"dataroot_gt": "a"}, networks={}, phases={})
    assert recipe.origin.sentence(("train", "gt_size"), "is odd") == "key 'train.gt_size' is odd"
    assert isinstance(EvaluationSet(dataroot_gt="a").dataroot_gt, list)


CLASSIFICATION = """\
name: digits
task: classification
datasets:
  train: {dataroot: "scikit-learn:digits", shift: 1}
  val: {dataroot: "scikit-learn:digits"}
networks:
  student: {type: ResNet, classes: 10, channels: 1}
phases:
  student: {trains: student, total_iter: 5, losses: [{type: CrossEntropy}]}
"""


def test_the_task_chooses_what_the_file_may_say(write_options):
    recipe = load_recipe(write_options(CLASSIFICATION))
    assert (recipe.task, recipe.scale, recipe.train.shift, recipe.val.metrics) == ("classification", None, 1, ["top1"])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("task: classification", "task: clasification", "did you mean 'classification'?"),
        ("name: digits", "name: digits\nscale: 2", "key 'scale' must be left out; found 2"),
        ("shift: 1", "gt_size: 8", "key 'datasets.train.gt_size' is unknown"),
        ("phases:", "val: {metrics: [psnr]}\nphases:", "must be 'top1'; found 'psnr'"),
    ],
)
def test_a_classification_refuses_the_options_of_others(write_options, old, new, problem):
    with pytest.raises(UsageError) as caught:
        load_recipe(write_options(CLASSIFICATION, (old, new)))
    assert problem in str(caught.value)


def test_old_names_of_ours_are_read_with_one_notice_each(pisr, caplog):
    path = pisr(
        ("weight: 1e-6", "pull: 0.1"),
        ("student: {type: FSRCNN}", "student: {type: FSRCNN, colour: y}"),
        ("name: pisr", "name: pisr\nbaseline: baseline_total"),
    )
    with caplog.at_level(logging.WARNING, logger="sr_kd"):
        recipe = load_recipe(path)
    notices = [record.getMessage() for record in caplog.records]
    assert recipe.phases["student"].losses[-1].gradient_ratio == 0.1
    assert "key 'networks" in notices[0] and notices[0].endswith("colour' is now called 'color'")
    assert notices[1].endswith("pull' is now called 'gradient_ratio'")
    assert len(notices) == 2
