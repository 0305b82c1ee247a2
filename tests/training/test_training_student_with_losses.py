"""One iteration: what is compared with what, what gets gradients, and how parts of a batch add up."""

from __future__ import annotations

import pytest
import torch

from sr_kd.config.phase import LossOptions, Optimizer, Phase
from sr_kd.data.color import rgb_to_y
from sr_kd.distributed import World
from sr_kd.errors import UsageError
from sr_kd.losses.base import LossInputs
from sr_kd.networks.build import build_network
from sr_kd.tasks.super_resolution.task import SuperResolution
from sr_kd.training.ema import EMA
from sr_kd.training.frozen_teacher import FrozenTeacher
from sr_kd.training.loop import TrainingStage
from sr_kd.training.phase_losses import WeightedLoss, build_loss_from
from sr_kd.training.student_with_losses import StudentWithLosses

WORLD = World(0, 1, torch.device("cpu"))
SGD = Optimizer(type="SGD", lr=1e-2, momentum=0)


class Photograph(SuperResolution):
    """Crops of one photograph; the batch of an index is the same whatever the batch size."""

    def __init__(self, batch_size: int, color: str = "y", dtype: torch.dtype = torch.float64) -> None:
        super().__init__(None, [], 2, ["psnr"], WORLD)
        self.batch_size, self.color, self.dtype = batch_size, color, dtype

    def batch(self, index):
        from skimage import data

        pixels = torch.from_numpy(data.coffee()).permute(2, 0, 1).to(self.dtype) / 255
        numbers = range(index * self.batch_size, (index + 1) * self.batch_size)
        hr = torch.stack([pixels[:, 40 + 16 * number :][:, :24, 200:224] for number in numbers])
        hr = hr if self.color == "rgb" else rgb_to_y(hr)
        return LossInputs(torch.nn.functional.avg_pool2d(hr, 2), hr)


def stage_of(task, losses, student=None, teacher=None, total_iter=4, ema=None, **options):
    torch.manual_seed(0)
    student = student or build_network("FSRCNN", scale=2, init="bicubic").to(task.dtype)
    entries = [LossOptions.model_validate(entry) for entry in losses]
    built = [WeightedLoss(build_loss_from(entry, student, teacher), entry.weight, entry.type) for entry in entries]
    step = StudentWithLosses(student, built, task).to(task.dtype)
    phase = Phase(trains="student", total_iter=total_iter, **({"optim": SGD} | options))
    frozen_teacher = None if teacher is None else FrozenTeacher(teacher.to(task.dtype), step, task)
    return TrainingStage(phase, total_iter, step, frozen_teacher, task, ema, WORLD)


def teacher_of(color="y"):
    """A privileged teacher with random weights."""
    torch.manual_seed(1)
    parts = {"encoder": {"type": "Hourglass"}, "decoder": {"type": "FSRCNN"}}
    return build_network("PrivilegedTeacher", scale=2, color=color, **parts)


def gradients(stage):
    return {name: parameter.grad for name, parameter in stage.step.named_parameters()}


def test_parts_of_a_batch_add_up_to_the_whole():
    losses = [{"type": "L1"}, {"type": "VID", "weight": 1e-3, "taps": ["expanding"]}]
    whole = stage_of(Photograph(4), losses, teacher=teacher_of())
    parts = stage_of(Photograph(2), losses, teacher=teacher_of(), accumulate=2)
    for stage in (whole, parts):
        stage.update(1, measure=False)
    expected = gradients(whole)
    assert any(name.startswith("losses.VID") for name in expected)
    for name, gradient in gradients(parts).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-14, msg=name)


def test_clipping_bounds_the_norm_of_student_and_adapters_together():
    losses = [{"type": "L1"}, {"type": "VID", "weight": 1.0, "taps": ["expanding"]}]
    free, clipped = (stage_of(Photograph(2), losses, teacher=teacher_of(), **o) for o in ({}, {"gradient_clip": 1e-3}))
    free.update(0, measure=False)
    values = clipped.update(0, measure=True)
    norm = torch.nn.utils.get_total_norm(list(gradients(free).values()))
    assert values["gradient/norm"] == pytest.approx(float(norm), rel=1e-9)
    for name, gradient in gradients(clipped).items():
        torch.testing.assert_close(gradient, gradients(free)[name] * 1e-3 / norm, rtol=1e-3, atol=1e-12, msg=name)


def test_the_teacher_gets_no_gradients_and_runs_no_further_than_the_deepest_tap():
    teacher = teacher_of().double()
    ran = []
    for name, module in teacher.decoder.named_children():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    assert teacher.training
    stage = stage_of(Photograph(2), [{"type": "L1"}, {"type": "VID", "taps": ["shrinking"]}], teacher=teacher)
    stage.update(0, measure=True)
    assert ran == ["feature_extraction", "shrinking"]
    assert not teacher.training
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any("decoder" in name for name in stage.step.state_dict()), "never in the student's state"


def test_a_luma_student_of_an_rgb_teacher_is_compared_with_luma():
    task = Photograph(2, "rgb")
    teacher = teacher_of("rgb").to(task.dtype)
    stage = stage_of(task, [{"type": "L1"}, {"type": "Response"}], teacher=teacher)
    batch = task.batch(0)
    terms = stage.step(stage.teacher.shown(batch))
    sr = stage.step.student(rgb_to_y(batch.lr))
    torch.testing.assert_close(terms["L1/l1"], (sr - rgb_to_y(batch.hr)).abs().mean())
    with torch.no_grad():
        taught = rgb_to_y(teacher(batch.hr)[0])
    torch.testing.assert_close(terms["Response/response"], (sr - taught).abs().mean())


def test_an_rgb_student_cannot_be_compared_with_a_luma_image():
    student = build_network("FSRCNN", scale=2, color="rgb")
    with pytest.raises(UsageError, match="the student's are 'rgb', the teacher's 'y'"):
        build_loss_from(LossOptions(type="Response"), student, teacher_of())
    assert build_loss_from(LossOptions(type="VID", taps=["expanding"]), student, teacher_of())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_full_precision_weights(precision):
    task = Photograph(2, dtype=torch.float32)
    losses = [{"type": "L1"}, {"type": "VID", "weight": 1e-4, "taps": ["expanding"]}]
    full, half = (
        stage_of(task, losses, teacher=teacher_of(), precision=kind, optim=Optimizer(lr=1e-4))
        for kind in ("fp32", precision)
    )
    first = half.step.student.expanding[0].weight.detach().clone()
    found = [stage.update(0, measure=True)["losses/L1/l1"] for stage in (full, half)]
    assert found[1] == pytest.approx(found[0], rel=0.02)
    assert half.step.student.expanding[0].weight.dtype == torch.float32
    assert not torch.equal(half.step.student.expanding[0].weight, first)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_measures_small_gradients_too(precision):
    task = Photograph(2, dtype=torch.float32)
    losses = [{"type": "L1"}, {"type": "VID", "weight": 1e-6, "taps": ["expanding"]}]
    full, half = (stage_of(task, losses, teacher=teacher_of(), precision=kind) for kind in ("fp32", precision))
    expected, found = (stage.update(0, measure=True)["gradient_ratio/VID/vid"] for stage in (full, half))
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_teacher_in_half_precision_teaches_in_full(precision):
    task = Photograph(2, dtype=torch.float32)
    batch, teacher = task.batch(0), teacher_of()
    step = stage_of(task, [{"type": "Response"}, {"type": "Feature", "taps": ["expanding"]}], teacher=teacher).step
    full, half = (FrozenTeacher(teacher, step, task, kind).shown(batch) for kind in ("fp32", precision))
    for exact, found in (
        (full.teacher.output, half.teacher.output),
        (full.teacher.features["expanding"], half.teacher.features["expanding"]),
        (full.teacher_forward(batch.lr, batch.hr), half.teacher_forward(batch.lr, batch.hr)),
    ):
        assert found.dtype == torch.float32
        assert 0 < (exact - found).abs().mean() < 0.02 * exact.abs().mean()


def test_the_average_follows_every_iteration():
    task = Photograph(2)
    student = build_network("FSRCNN", scale=2, init="bicubic").double()
    ema = EMA(student, 0.5)
    expected = student.expanding[0].weight.detach().clone()
    stage = stage_of(task, [{"type": "L1"}], student=student, ema=ema)
    for iteration in range(3):
        stage.update(iteration, measure=False)
        past = (1 + iteration) / (10 + iteration)  # the average is young, and 0.5 too much of its past
        expected = past * expected + (1 - past) * student.expanding[0].weight.detach()
    torch.testing.assert_close(ema.network.expanding[0].weight, expected, rtol=1e-12, atol=1e-15)
