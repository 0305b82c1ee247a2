"""What every loss owes the trainer, on real networks of different width and a real photograph."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from loss_inputs import loss_inputs_of, maps, network_inputs, networks, pair
from skimage import data

from sr_kd.data.resize import imresize
from sr_kd.errors import UsageError
from sr_kd.losses import LOSSES, Loss, LossInputs, NetworkOutput, build_loss

# Every distillation loss with every option that changes its arithmetic.
VARIANTS: dict[str, tuple[str, dict]] = {
    "Response": ("Response", {}),
    "Feature": ("Feature", {}),
    "Feature l2": ("Feature", {"distance": "l2"}),
    "Hint": ("Hint", {}),
    "AT": ("AT", {}),
    "AT odd paper": ("AT", {"p": 3, "form": "paper"}),
    "NST linear": ("NST", {"kernel": "linear"}),
    "NST poly": ("NST", {}),
    "NST gaussian": ("NST", {"kernel": "gaussian"}),
    "FT": ("FT", {}),
    "FT p 2": ("FT", {"p": 2, "kernel_size": 1}),
    "SRRL": ("SRRL", {}),
    "SRRL l1": ("SRRL", {"regression": "l1"}),
    "IEKD": ("IEKD", {"use_bn": False}),
    "IEKD random": ("IEKD", {"use_bn": False, "divide": "random", "inherit": "l2", "explore": "orthogonality"}),
    "IEKD cosine": ("IEKD", {"use_bn": False, "inherit": "cosine", "explore": "cosine"}),
    "IEKD partial": ("IEKD", {"use_bn": False, "inherit": "partial_l2", "explore": "partial_l2"}),
    "VID": ("VID", {}),
    "VID gaussian": ("VID", {"likelihood": "gaussian", "scale": "layer"}),
    "OriginalVID": ("OriginalVID", {"eps": 1e-4}),
    "Affinity": ("Affinity", {"positions": 64}),
    "Upcycling": ("Upcycling", {}),
    "FrequencyReconstruction": ("FrequencyReconstruction", {}),
    "FrequencyReconstruction teacher": ("FrequencyReconstruction", {"target": "teacher"}),
    "GradientDifference": ("GradientDifference", {}),
    "Perceptual": ("Perceptual", {"layers": ["expanding"]}),
    "GradientDifference teacher": ("GradientDifference", {"target": "teacher"}),
}
COUPLED = {  # the batch is looked at as a whole
    "FT bn": ("FT", {"use_bn": True}),
    "SRRL bn": ("SRRL", {"use_bn": True, "use_relu": True}),
    "IEKD bn cka": ("IEKD", {"explore": "cka"}),
}
ALL = {**VARIANTS, **COUPLED}


def build(variant: str, student: int = 8, teacher: int = 12, key: str = "expanding") -> Loss:
    name, options = ALL[variant]
    torch.manual_seed(3)
    return build_loss(name, [pair(student, teacher, key)], **options)


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Four HR patches of a photograph, not square, and their LR."""
    camera = torch.from_numpy(data.camera()[150:350]).double() / 255
    hr = torch.stack([camera[50 * i : 50 * i + 24, 200 : 200 + 40] for i in range(4)])[:, None]
    return imresize(hr, (12, 20)).float(), hr.float()


def total(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms.values())).sum()


WITH_OWN_TESTS = {"L1", "L2", "Charbonnier", "Imitation", "CrossEntropy", "SoftLabel", "Detection", "Adversarial"}


def test_every_registered_loss_is_covered():
    tested = {name for name, _ in ALL.values()}
    ours = {name for name in LOSSES.names() if LOSSES.get(name).__module__.startswith("sr_kd.")}
    assert tested | WITH_OWN_TESTS == ours


@pytest.mark.parametrize("variant", ALL)
def test_a_loss_returns_the_terms_that_it_declares(variant, batch):
    loss = build(variant)
    assert tuple(loss(network_inputs(*networks(), *batch))) == loss.terms


@pytest.mark.parametrize("name", sorted(WITH_OWN_TESTS))
def test_a_loss_without_taps_returns_the_terms_that_it_declares(name):
    image, logits = torch.rand(2, 1, 8, 8), torch.rand(2, 3)
    output = logits if name in ("CrossEntropy", "SoftLabel") else image
    own = dict.fromkeys(("classification", "box", "center"), torch.tensor(1.0))
    inputs = LossInputs(
        image, image, NetworkOutput(output, {"compact": image}, own), NetworkOutput(output), labels=torch.tensor([0, 2])
    )
    loss = build_loss(name)
    assert tuple(loss(inputs)) == loss.terms


def test_upcycling_has_a_term_for_each_zoom(batch):
    loss = build_loss("Upcycling", zooms=["out"])
    assert tuple(loss(network_inputs(*networks(), *batch))) == loss.terms == ("zoom_out",)


@pytest.mark.parametrize("variant", ALL)
def test_gradients_reach_the_student_and_the_adapters_alone(variant, batch):
    student, teacher = networks()
    loss = build(variant)
    inputs = network_inputs(student, teacher, *batch)
    watched = {name: feature.requires_grad_() for name, feature in inputs.teacher.features.items()}
    watched["output"] = inputs.teacher.output.requires_grad_()
    terms = loss(inputs)
    assert all(value.ndim == 0 and value.dtype == torch.float32 and value.isfinite() for value in terms.values())
    total(terms).backward()
    first = student.feature_extraction[0].weight.grad
    assert first is not None and first.isfinite().all() and first.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in loss.parameters() if parameter.requires_grad)
    frozen = [parameter for parameter in loss.parameters() if not parameter.requires_grad]
    assert all(parameter.grad is None for parameter in [*frozen, *teacher.parameters(), *watched.values()])
    objective = loss.pretraining()
    expected = [] if objective is None else list(objective.module.parameters())
    assert {id(parameter) for parameter in frozen} == {id(parameter) for parameter in expected}
    groups = loss.parameter_groups(1e-3, 1e-4)
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in loss.parameters() if parameter.requires_grad}


@pytest.mark.parametrize("variant", ALL)
def test_flat_patches_leave_everything_finite(variant):
    """All-zero maps of both networks, and then dead channels beside live ones."""
    loss = build(variant, 4, 6, "tap")
    for dead in (slice(None), slice(0, 2)):
        student, teacher = maps(2, 4, 6, 10, dtype=torch.float32), maps(2, 6, 6, 10, seed=1, dtype=torch.float32)
        student[:, dead], teacher[:, dead] = 0, 0
        student.requires_grad_()
        value = total(loss(loss_inputs_of(student, teacher)))
        value.backward()
        adapters = [parameter.grad for parameter in loss.parameters() if parameter.grad is not None]
        assert value.isfinite() and all(gradient.isfinite().all() for gradient in [student.grad, *adapters])
        # Batch norm over a batch without any variance multiplies by 300 per layer: there, finite has to do.
        assert student.grad.abs().max() < 100 or variant in COUPLED


@pytest.mark.parametrize("variant", ALL)
def test_maps_of_other_size_and_width_are_accepted(variant):
    loss = build(variant, 4, 6, "tap").double()
    student, teacher = maps(2, 4, 7, 10).requires_grad_(), maps(2, 6, 12, 5, seed=1)
    value = total(loss(loss_inputs_of(student, teacher)))
    value.backward()
    assert value.isfinite() and student.grad.abs().sum() > 0


@pytest.mark.parametrize("variant", ALL)
def test_bfloat16_autocast_stays_near_float32(variant, batch):
    student, teacher = networks()
    loss = build(variant)
    expected = loss(network_inputs(student, teacher, *batch))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(network_inputs(student, teacher, *batch))
    assert all(value.dtype == torch.float32 for value in found.values())
    # The maps themselves are rounded to 8 bits, so distances can only be as good as that.
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=0.15, abs=2e-3), name
    total(found).backward()
    assert all(parameter.grad.isfinite().all() for parameter in student.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("variant", VARIANTS)
def test_halves_of_a_batch_average_to_the_whole(variant, batch):
    """What makes gradients averaged over processes equal those of the joined batch."""
    student, teacher = (network.double() for network in networks())
    loss = build(variant).double()
    lr, hr = (image.double() for image in batch)
    whole = total(loss(network_inputs(student, teacher, lr, hr)))
    parts = [total(loss(network_inputs(student, teacher, lr[part], hr[part]))) for part in (slice(2), slice(2, 4))]
    assert (torch.stack(parts).mean() / whole).item() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("variant", ALL)
def test_a_saved_loss_continues_as_it_was(variant, batch):
    student, teacher = networks()
    loss = build(variant)
    inputs = network_inputs(student, teacher, *batch)
    optimizer = torch.optim.SGD([*student.parameters(), *loss.parameters()], lr=1e-3)
    total(loss(inputs)).backward()
    optimizer.step()
    name, options = ALL[variant]
    torch.manual_seed(99)
    resumed = build_loss(name, [pair(8, 12, "expanding")], **options)
    resumed.load_state_dict(copy.deepcopy(loss.state_dict()))
    later = replace(network_inputs(student, teacher, *batch), iteration=1)
    assert total(resumed(later)).item() == total(loss(later)).item()


@pytest.mark.parametrize("variant", [name for name in ALL if build(name, 4, 6).pretraining() is not None])
def test_frozen_parts_do_not_move_whatever_the_mode(variant, batch):
    student, teacher = networks()
    loss = build(variant).train()
    module = loss.pretraining().module
    before = copy.deepcopy(module.state_dict())
    for mode in (True, False, True):
        loss.train(mode)
        assert not any(part.training for part in module.modules())
        total(loss(network_inputs(student, teacher, *batch))).backward()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    "variant", [name for name in VARIANTS if name.startswith(("Feature", "AT", "NST", "SRRL", "Affinity", "Response"))]
)
def test_equal_networks_lose_nothing(variant, batch):
    student, _ = networks()
    teacher = copy.deepcopy(student)
    value = total(build(variant, 8, 8)(network_inputs(student, teacher, *batch)))
    assert value.item() == pytest.approx(0, abs=1e-7)


def test_several_taps_are_summed():
    inputs = loss_inputs_of(maps(2, 4, 6, 10), maps(2, 6, 6, 10, seed=1))
    features = {"tap": inputs.trained.features["tap"], "other": maps(2, 3, 6, 10, seed=2)}
    taught = {"tap": inputs.teacher.features["tap"], "other": maps(2, 5, 6, 10, seed=3)}
    both = replace(inputs, trained=NetworkOutput(None, features), teacher=NetworkOutput(inputs.teacher.output, taught))
    pairs = [pair(), pair(3, 5, "other")]
    single = [build_loss("AT", [one])(both)["at"] for one in pairs]
    assert build_loss("AT", pairs)(both)["at"].item() == pytest.approx(sum(single).item(), rel=1e-12)


def test_a_phase_without_a_teacher_is_told_so():
    image = torch.rand(1, 1, 4, 4)
    alone = LossInputs(image, image, NetworkOutput(image, {"expanding": torch.rand(1, 8, 4, 4)}))
    for variant in ("AT", "Response"):
        loss = build(variant)
        assert loss.needs_teacher({})
        with pytest.raises(UsageError, match="teacher"):
            loss(alone)
    assert not build_loss("L1").needs_teacher({})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AT", {"p": 0.5}, "greater than or equal to 1"),
        ("AT", {"powr": 2}, "known: form, p"),
        ("NST", {"kernel": "polynomial"}, "poly"),
        ("NST", {"sigma": 0}, "greater than 0"),
        ("NST", {"sigma": 0.5}, "sigma is an option of the kernel 'gaussian'"),
        ("NST", {"kernel": "linear", "d": 3}, "options of the kernel 'poly'; here it is 'linear'"),
        ("NST", {"kernel": "gaussian", "c": 1}, "options of the kernel 'poly'; here it is 'gaussian'"),
        ("Charbonnier", {"eps": 0}, "greater than 0"),
        ("FT", {"p": 3}, "1 or 2"),
        ("IEKD", {"ratio": 1.0}, "less than 1"),
        ("OriginalVID", {"init_pred_var": "student"}, "teacher"),
        ("Nst", {}, "did you mean 'NST'"),
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(name, options, message):
    with pytest.raises(UsageError, match=message):
        build_loss(name, [pair()], **options)


def test_a_feature_loss_needs_taps():
    with pytest.raises(UsageError, match="taps"):
        build_loss("FT")
