"""Small inputs for tests of the losses: random maps, and real networks on a real photograph."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from sr_kd.losses import LossInputs, NetworkOutput, TapPair
from sr_kd.networks.base import Tap
from sr_kd.networks.fsrcnn import FSRCNN

STUDENT_SHAPE, TEACHER_SHAPE = (2, 4, 6, 10), (2, 6, 6, 10)


def pair(student_channels: int = 4, teacher_channels: int = 6, key: str = "tap") -> TapPair:
    return TapPair(key, key, Tap(student_channels), Tap(teacher_channels))


def maps(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Signed features of order one, as after a PReLU."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return torch.where(values > 0, values, 0.25 * values).to(dtype)


def loss_inputs_of(student: Tensor, teacher: Tensor, iteration: int = 0) -> LossInputs:
    """An inputs of one tap; outputs and the tail are simple functions of the maps, forwards of LR."""
    lr = maps(student.shape[0], 1, 6, 10, seed=7, dtype=student.dtype).abs()
    hr = maps(student.shape[0], 1, 12, 20, seed=8, dtype=student.dtype).abs()

    def tail(tap: str, feature: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(feature.mean(1, keepdim=True), size=(12, 20))

    def forward(gain: Tensor):
        return lambda lr, hr: torch.nn.functional.interpolate(lr, scale_factor=2) * gain

    return LossInputs(
        lr,
        hr,
        NetworkOutput(tail("tap", student), {"tap": student}),
        NetworkOutput(tail("tap", teacher), {"tap": teacher}),
        tail,
        None,
        iteration,
        forward(student.mean() + 1),
        forward(torch.ones((), dtype=student.dtype)),
        lambda image, taps: {tap: image.abs() for tap in taps},
    )


def networks(student_width: int = 8, teacher_width: int = 12) -> tuple[FSRCNN, FSRCNN]:
    """Two real networks of different width, x2."""
    torch.manual_seed(0)
    return FSRCNN(2, d=student_width, s=4, m=1), FSRCNN(2, d=teacher_width, s=4, m=1)


def network_inputs(
    student: FSRCNN, teacher: FSRCNN, lr: Tensor, hr: Tensor, tap: str = "expanding", iteration: int = 0
) -> LossInputs:
    """What a training step would make of a batch."""
    made, features = student.features(lr, [tap])
    with torch.no_grad():
        taught, teacher_features = teacher.features(lr, [tap])
    frozen = copy.deepcopy(teacher).eval().requires_grad_(False)

    def teach(lr: Tensor, hr: Tensor) -> Tensor:
        with torch.no_grad():
            return frozen(lr)

    return LossInputs(
        lr,
        hr,
        NetworkOutput(made, features),
        NetworkOutput(taught, teacher_features),
        lambda name, feature: frozen.tail(name, feature, lr),
        None,
        iteration,
        lambda lr, hr: student(lr),
        teach,
        lambda image, taps: frozen.features(image, taps, False)[1],
    )
