"""The baselines written in plain PyTorch: a network in PyTorch's own layers, and PISR's published step."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..losses.vid import VID
from ..networks.activation import PReLU
from ..networks.base import SRNetwork
from ..networks.subpixel import TransposedConvolution
from ..networks.teacher import PrivilegedTeacher


class _CutTransposedConvolution(nn.ConvTranspose2d):
    """PyTorch's, cut to scale times the input."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        height, width = (side * self.stride[0] for side in input.shape[-2:])
        return super().forward(input, output_size)[..., :height, :width]


def in_plain_layers(module: nn.Module) -> nn.Module:
    """A copy in PyTorch's own layers and memory format, of the same weights."""
    twin = copy.deepcopy(module).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            plain = _plain(child)
            if plain is not None:
                plain.load_state_dict(child.state_dict())
                setattr(parent, name, plain.to(next(child.parameters()).device))
    return twin


def _plain(layer: nn.Module) -> nn.Module | None:
    if isinstance(layer, PReLU):
        return nn.PReLU(layer.num_parameters)
    if isinstance(layer, TransposedConvolution):
        return _CutTransposedConvolution(
            layer.in_channels,
            layer.out_channels,
            (layer.kernel_size[0], layer.kernel_size[1]),
            (layer.stride[0], layer.stride[1]),
            (int(layer.padding[0]), int(layer.padding[1])),
            (layer.output_padding[0], layer.output_padding[1]),
        )
    return None


def teacher_step(teacher: PrivilegedTeacher, lr: Tensor, hr: Tensor, weight: float) -> Callable[[], Tensor]:
    """PISR's teacher step: L1 of the output and the imitation loss; one call is one step, and gives the loss."""
    network = in_plain_layers(teacher)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=False)

    def step() -> Tensor:
        optimizer.zero_grad()
        sr, compact = network(hr)
        loss = functional.l1_loss(sr, hr) + weight * functional.l1_loss(compact, lr)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def student_step(
    teacher: PrivilegedTeacher, student: SRNetwork, vid: VID, tap: str, lr: Tensor, hr: Tensor, weight: float
) -> Callable[[], Tensor]:
    """PISR's student step as released: the teacher runs to its end, and gradients go into it as well."""
    privileged, network, estimators = (in_plain_layers(module) for module in (teacher, student, vid.estimators))
    (estimator,) = estimators.children()
    optimizer = torch.optim.Adam([*network.parameters(), *estimator.parameters()], lr=1e-3, foreach=False)

    def step() -> Tensor:
        optimizer.zero_grad()
        _, wanted = privileged.features(hr, [tap])  # type: ignore[operator]
        sr, found = network.features(lr, [tap])  # type: ignore[operator]
        location, scale = estimator(found[tap])
        likelihood = (torch.log(2 * scale) + (wanted[tap] - location).abs() / scale).mean()
        loss = functional.l1_loss(sr, hr) + weight * likelihood
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
