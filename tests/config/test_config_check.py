"""What can be refused before any work: plans, networks, losses, taps, shapes, sets."""

from __future__ import annotations

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.graph import TeacherSource, baseline_of, phase_order, teacher_of
from sr_kd.recipes.load import load_recipe
from sr_kd.zoo.manifest import shipped_models

VID = "{type: VID, weight: 1e-6, taps: [expanding]}"
STUDENT = "  student: {type: FSRCNN}"


def refusal(path) -> str:
    with pytest.raises(UsageError) as refused:
        check_recipe(load_recipe(path))
    return str(refused.value)


def test_a_good_recipe_passes_and_leaves_the_random_state_alone(pisr):
    before = torch.get_rng_state()
    checked = check_recipe(load_recipe(pisr()))
    assert set(checked.recipe.networks) == {"teacher", "student"}
    assert torch.equal(torch.get_rng_state(), before)


def test_a_former_baseline_is_taken_by_its_name_with_one_notice(pisr, caplog):
    recipe = load_recipe(pisr())
    assert baseline_of(recipe) == "baseline_total"
    notices = [record.message for record in caplog.records if "say 'baseline: baseline_total'" in record.message]
    assert len(notices) == 1 and "options.yml:24: key 'phases.baseline_total' is what the others" in notices[0]
    caplog.clear()
    for written, label in (("baseline_total", "plain"), ("plain", "plain"), ("bicubic", "bicubic")):
        named = pisr(("name: pisr", f"name: pisr\narms: {{PISR: student, plain: baseline_total}}\nbaseline: {written}"))
        assert baseline_of(load_recipe(named)) == label
    assert "baseline" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("trains: teacher", "trains: techer")], ":11: key 'phases.teacher.trains' names no network: 'techer' (did"),
        ([("needs: [teacher]", "needs: [techer]")], ":17: key 'phases.student.needs' names no phase: 'techer' (did"),
        ([("trains: teacher", "needs: [student]\n    trains: teacher")], "in a circle: teacher -> student -> teacher"),
        ([("teacher + student", "teacher + studnt")], "'studnt' is no phase (did you mean 'student'?)"),
        ([("teacher + student", "teacher - student")], "'teacher - student' is no phase"),
        ([("total_iter: 300", "total_iter: baseline_total")], "depends on itself"),
        ([("total_iter: 300", "total_iter: '²'")], "'²' is no phase"),
        ([("total_iter: 300", "total_iter: 0 + 0")], "'phases.teacher.total_iter' is 0"),
        ([("baseline_total:", "../baseline:")], ":24: key 'phases.../baseline' must have a plain name"),
        ([("baseline_total:", "'7':")], ":24: key 'phases.7' must have a plain name"),
        ([("gt_size: 64", "gt_size: 63")], ":4: key 'datasets.train.gt_size' is 63, no multiple of the scale 2; try"),
        ([("gt_size: 64", "gt_size: 600")], ":4: key 'datasets.train' cannot be used: "),
        ([("held_out", "held_ou")], ":5: key 'datasets.val_1' cannot be used: unknown embedded set"),
        ([("networks:", "  val_2: {dataroot_gt: scikit-image:held_out}\nnetworks:")], "give each its own 'name'"),
        ([("name: pisr", "name: pisr\nseeds: [1, 1]")], ":2: key 'seeds' must be distinct numbers; found [1, 1]"),
        ([("name: pisr", "name: pisr\nbaseline: baselin_total")],
         ":2: key 'baseline' names no arm: 'baselin_total' (did you mean 'baseline_total'?); known: student, "),
        ([("name: pisr", "name: pisr\nval: {metrics: [psnr, vff]}")],
         ":2: key 'val.metrics[1]' is refused: unknown metric 'vff' (did you mean 'vif'?); known: dists, "),
        ([("name: pisr", "name: pisr\nval: {metrics: [lpips]}")], "is refused: metric 'lpips' looks at RGB images"),
        ([("name: pisr", "name: pisr\narms: {' ': student}")], ":2: key 'arms' has ' '; an arm needs a name"),
        ([("name: pisr", "name: pisr\narms: {HR: student}")], "needs a name that can be read, and not bicubic or LR"),
        ([("name: pisr", "name: pisr\narms: {a: studnt}")], ":2: key 'arms.a' names no phase: 'studnt' (did you"),
        ([("total_iter: 300", "total_iter: 300\n    warmup_iter: 300")], "'phases.teacher.warmup_iter' must be less"),
        ([("teacher + student", "teacher + student\n    warmup_iter: 9999")], "must be less than total_iter, 500"),
        ([("total_iter: 300", "total_iter: 300\n    ema_decay: 1")], "'phases.teacher.ema_decay' must be less than 1"),
        ([("total_iter: 300", "total_iter: 300\n    optim: {betas: [0.9, 1]}")], "betas[1]' must be less than 1.0"),
        ([("total_iter: 300", "total_iter: 300\n    optim: {type: SGD, betas: [0.9, 0.99]}")],
         "'phases.teacher.optim.betas' must be left out: it is an option of Adam, AdamW and SOAP; found [0.9, 0.99]"),
        ([("total_iter: 300", "total_iter: 300\n    optim: {type: SGD, momentum: 0, nesterov: true}")],
         "'phases.teacher.optim.nesterov' must be false where momentum is 0; found true"),
        ([("total_iter: 300", "total_iter: 300\n    scheduler: {type: cosine, gamma: 0.1}")],
         "'phases.teacher.scheduler.gamma' must be left out: it is an option of multistep; found 0.1"),
        ([("type: Hourglass", "type: 5")], "'networks.teacher.encoder' is refused: the type of a network is a"),
        ([("type: FSRCNN}\nphases", "type: FSRCN}\nphases")], ":8: key 'networks.student' cannot be built: unknown"),
        ([("type: FSRCNN}\nphases", "type: FSRCNN, e: 1}\nphases")], "network FSRCNN has no option 'e'"),
        ([("type: FSRCNN}\nphases", "type: Hourglass}\nphases")], "'phases.student.trains' is a Hourglass, which is"),
        ([("type: FSRCNN}\nphases", "type: FSRCNN, scale: 3}\nphases")], "is for x3; the recipe's scale is 2"),
        ([("type: FSRCNN}\nphases", "type: FSRCNN, init: magic}\nphases")], "unknown initialization of FSRCNN 'magic'"),
        ([("type: FSRCNN}\nphases", "type: FSRCNN, path: no.pth}\nphases")], "'networks.student.path' cannot be load"),
        ([("type: Hourglass}", "type: Hourglass, k: 2}"), ("FSRCNN}}", "FSRCNN, input_channels: 2}}")],
         ":19: key 'phases.student.init' does not fit: 1 weight differs, such as feature_extraction.0.weight, "
         "(56, 2, 5, 5) in 'teacher' and (56, 1, 5, 5) here"),
        ([(", part: decoder", "")], ":19: key 'phases.student.init' does not fit: "),
        ([(", part: decoder", "")], "(name its 'part': decoder)"),
        ([(", part: decoder", ", part: decoder, into: decoder")],
         "'phases.student.init.into' is 'decoder', but 'student' trains a FSRCNN, which has no parts"),
        ([("from: teacher", "from: baseline_total")], "key 'phases.student.init.from' is 'baseline_total'; it must be"),
        ([("taps: [expanding]", "taps: [expandin]")], ":23: key 'phases.student.losses[1]' is refused: unknown tap of"),
        ([("taps: [expanding]", "taps: [expandin]")], "(did you mean 'expanding'?)"),
        ([(", taps: [expanding]", "")], "loss VID compares feature maps: name them with 'taps'"),
        ([("taps: [expanding]", "taps: [expanding, {student: expanding}]")],
         "loss VID names the taps 'expanding' and 'expanding' twice"),
        ([("type: VID,", "type: VI,")], ":23: key 'phases.student.losses[1].type' names no loss: 'VI' (did you mean"),
        ([("type: VID,", "type: VID, likelihood: cauchy,")], "loss VID, option 'likelihood': Input should be 'lap"),
        ([("needs: [teacher]\n", "channels_last: true\n"), ("    init: {from: teacher, part: decoder}\n", "")],
         ":22: key 'phases.student.losses[1]' is refused: loss VID compares taps with a teacher's, and this"),
        ([("teacher + student", "9\n    losses: [{type: Imitation}]")], "Imitation is for a phase that trains a P"),
        ([("weight: 1e-6", "weight: {vdi: 1}")], ":23: key 'phases.student.losses[1]' is refused: unknown term in the "
         "weights of loss VID 'vdi' (did you mean 'vid'?); known: vid"),
        ([("{type: VID, weight: 1e-6,", "{type: IEKD, weight: {inherit: 1},")],
         "loss IEKD returns the term 'explore', which its weight mapping does not name"),
        ([("{type: VID,", "{type: Response,")], "loss Response compares no feature maps: remove 'taps'"),
        ([("needs: [teacher]", "needs: [teacher]\n    teacher: teacher"),
          ("- {type: VID, weight: 1e-6, taps: [expanding]}", "- {type: L2}")],
         "'phases.student.teacher' is 'teacher', but none of the losses learns from a teacher"),
        ([("total_iter: 300", "total_iter: 300\n    teacher_precision: bf16")],
         "'phases.teacher.teacher_precision' is 'bf16', but none of the losses learns from a teacher"),
        ([("init: {from: teacher, part: decoder}", "partner: other\n    teacher_precision: bf16"),
          ("  student: {type: FSRCNN}", "  student: {type: FSRCNN}\n  other: {type: FSRCNN}")],
         "'phases.student.teacher_precision' cannot be combined with a partner"),
        ([("teacher + student", "9\n    losses: [{type: CrossEntropy}]")],
         ".losses[0].type' is 'CrossEntropy': it is for 'task: classification'"),
        ([("{type: VID, weight: 1e-6, taps: [expanding]}", "{type: SoftLabel}")],
         ".losses[1].type' is 'SoftLabel': it is for 'task: classification'"),
        ([('held_out"', 'held_out", dataroot_lq: "scikit-image:held_out", protocol: yfloat')],
         ":5: key 'datasets.val_1.protocol' is 'yfloat', which makes LR from the Y of HR: leave 'dataroot_lq' out"),
        ([("teacher + student", "9\n    losses: []")], "key 'phases.baseline_total.losses' is empty"),
        ([("FSRCNN}\nphases", "FSRCNN, color: rgb}\nphases"), ('held_out"', 'held_out", protocol: yfloat')],
         ":5: key 'datasets.val_1.protocol' is 'yfloat', which needs Y networks; FSRCNN is RGB: use rgb8"),
        ([("init: {from: teacher, part: decoder}", "partner: other"), ('held_out"', 'held_out", protocol: yfloat'),
          ("  student: {type: FSRCNN}", "  student: {type: FSRCNN}\n  other: {type: FSRCNN, color: rgb}")],
         ":5: key 'datasets.val_1.protocol' is 'yfloat', which needs Y networks; FSRCNN is RGB: use rgb8"),
    ],
)  # fmt: skip
def test_impossible_combinations_are_refused_with_their_line(pisr, changes, sentence):
    path = pisr(*changes)
    message = refusal(path)
    assert sentence in message
    assert str(path) in message


def test_phases_run_after_what_they_need_and_otherwise_as_written(pisr):
    path = pisr(
        ("  teacher:\n    trains", "  zero: {trains: student, total_iter: 1, needs: [student]}\n  teacher:\n    trains")
    )
    assert phase_order(load_recipe(path)) == ["teacher", "student", "zero", "baseline_total"]


def test_the_teacher_is_the_needed_phase_that_trains_another_network(pisr):
    recipe = load_recipe(pisr())
    assert teacher_of(recipe, "student") == TeacherSource("teacher", "teacher")
    assert teacher_of(recipe, "teacher") is None
    assert teacher_of(recipe, "baseline_total") is None


def test_a_network_with_trained_weights_can_teach(pisr):
    path = pisr(("needs: [teacher]\n", "teacher: big\n"), (STUDENT, f"{STUDENT}\n  big: {{type: FSRCNN, path: b.pth}}"))
    assert teacher_of(load_recipe(path), "student") == TeacherSource("big", None)


def test_trained_weights_are_tried(pisr, tmp_path):
    save_network(tmp_path / "small.pth", build_network("FSRCNN", scale=2, d=32))
    path = pisr((STUDENT, f"  student: {{type: FSRCNN, path: {tmp_path}/small.pth}}"))
    assert f"{path}:8: key 'networks.student.path' cannot be loaded: " in refusal(path)
    check_recipe(
        load_recipe(path, ["networks.student.d=32", "phases.student.init=null", "phases.student.losses=[{type: L1}]"])
    )


def test_a_shipped_model_gives_trained_weights(pisr):
    file = shipped_models()["fsrcnn_x2"].verified_file()
    expected = load_network(file).network.state_dict()
    big = "  big: {type: file, path: fsrcnn_x2}"
    skipping = "decoder: {type: FSRCNN", "decoder: {type: FSRCNN, skip: bicubic"
    path = pisr((STUDENT, f"  student: {{type: FSRCNN, skip: bicubic, path: fsrcnn_x2}}\n{big}"), skipping)
    checked = check_recipe(load_recipe(path))
    for name in ("student", "big"):
        found = checked.network(name).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    unknown = pisr((STUDENT, "  student: {type: FSRCNN, path: fsrcnn_x5}"))
    assert (
        f"{unknown}:8: key 'networks.student.path' cannot be loaded: no file and no shipped model is called "
        "'fsrcnn_x5' (did you mean 'fsrcnn_x"
    ) in refusal(unknown)


def test_a_multi_scale_network_is_built_for_its_own_scales(pisr):
    path = pisr((STUDENT, f"{STUDENT}\n  vdsr: {{type: VDSR, scales: [2, 3]}}"))
    assert check_recipe(load_recipe(path)).network("vdsr").scales == (2,)  # of its own, the recipe's


def test_several_possible_teachers_have_to_be_told_apart(pisr):
    second = "  second: {trains: teacher, total_iter: 1}\n  student:\n"
    path = pisr(("  student:\n", second), ("needs: [teacher]", "needs: [teacher, second]"))
    assert "has several possible teachers: set 'teacher' to one of teacher, second" in refusal(path)
    chosen = pisr(("  student:\n", second), ("needs: [teacher]", "needs: [teacher, second]\n    teacher: second"))
    assert teacher_of(load_recipe(chosen), "student") == TeacherSource("teacher", "second")


def test_a_warm_start_without_a_distillation_loss_has_no_teacher(pisr):
    recipe = load_recipe(pisr((f"      - {VID}\n", "")))
    check_recipe(recipe)
    assert teacher_of(recipe, "student") is None


def test_losses_of_one_type_get_distinct_names(pisr):
    path = pisr((VID, f"{VID}\n      - {VID.replace('expanding', 'mapping')}"))
    recipe = load_recipe(path)
    checked = check_recipe(recipe)
    losses = checked.losses["student"].student
    assert [(entry.name, entry.weight) for entry in losses] == [("L1", 1.0), ("VID", 1e-6), ("VID_2", 1e-6)]
    assert [pair.key for entry in losses for pair in entry.loss.pairs] == ["expanding", "mapping"]


def test_taps_may_differ_between_student_and_teacher(pisr):
    recipe = load_recipe(pisr(("taps: [expanding]", "taps: [{student: mapping, teacher: expanding}]")))
    checked = check_recipe(recipe)
    _, vid = checked.losses["student"].student
    (pair,) = vid.loss.pairs
    assert (pair.student, pair.student_tap.channels, pair.teacher, pair.teacher_tap.channels) == (
        ("mapping", 12, "expanding", 56)
    )


def test_lr_alone_needs_a_teacher(tmp_path, run_cli):
    """What `check` says of a set of LR images without HR."""
    (tmp_path / "recipe.yml").write_text(
        "name: lr\nscale: 2\ndatasets: {train: {dataroot_lq: photos}}\nnetworks: {student: {type: FSRCNN}}\n"
        "phases: {student: {trains: student, total_iter: 5}}\n"
    )
    finished = run_cli("check", "-opt", tmp_path / "recipe.yml")
    assert finished.returncode == 2
    assert "'phases.student.targets' is 'hr', but 'dataroot_gt' names no HR: take the images of a" in finished.stderr
