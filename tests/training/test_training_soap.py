"""SOAP: its laws, against Adam where they must agree, and continuing from a saved state."""

import copy
import io

import pytest
import torch
from torch import nn

from sr_kd.config.phase import Optimizer
from sr_kd.training.optimizer import build_optimizer
from sr_kd.training.soap import SOAP


def _gradients(*shape, count=30):
    generator = torch.Generator().manual_seed(3)
    scale = torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 + 0.1
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) * scale for _ in range(count)]


def _run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_a_vector_gets_adam_after_the_first_gradient():
    gradients = _gradients(7)
    ours, theirs = nn.Parameter(torch.ones(7).double()), nn.Parameter(torch.ones(7).double())
    _run(SOAP([ours], lr=1e-2, betas=(0.9, 0.99), eps=1e-12), ours, gradients)
    _run(torch.optim.Adam([theirs], lr=1e-2, betas=(0.9, 0.99), eps=1e-12), theirs, gradients[1:])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_weight_decay_is_decoupled_as_in_adamw():
    gradients = _gradients(7)
    ours, theirs = nn.Parameter(torch.ones(7).double()), nn.Parameter(torch.ones(7).double())
    _run(SOAP([ours], lr=1e-2, betas=(0.9, 0.99), eps=1e-12, weight_decay=0.3), ours, gradients)
    _run(torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.99), eps=1e-12, weight_decay=0.3), theirs, gradients[1:])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def _orthogonal(size, seed):
    return torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).double()).Q


@pytest.mark.parametrize("shape", [(5, 4), (6, 2, 1, 3)])
def test_turning_the_weights_turns_the_path(shape):
    """The law that sets it apart from Adam: no basis is special."""
    gradients = _gradients(*shape)
    turn = _orthogonal(shape[0], 1)
    start = torch.zeros(*shape, dtype=torch.float64)

    def path(make, turned):
        parameter = nn.Parameter(start.clone())
        seen = [torch.einsum("ij,j...->i...", turn, g) if turned else g for g in gradients]
        return _run(make([parameter]), parameter, seen)

    def soap(parameters):
        return SOAP(parameters, lr=1e-2, precondition_freq=5)

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=1e-2)

    def error(make):
        return (torch.einsum("ij,j...->i...", turn, path(make, False)) - path(make, True)).abs().max()

    assert error(soap) < 1e-8
    assert error(adam) > 1e-2


def test_it_goes_down_an_ill_conditioned_valley_where_adam_is_slow():
    turn, other = _orthogonal(12, 1), _orthogonal(20, 2)
    left = turn @ torch.logspace(0, -1.5, 12).double().diag() @ turn.T
    right = other @ torch.logspace(0, -1.5, 20).double().diag() @ other.T
    target = torch.randn(12, 20, generator=torch.Generator().manual_seed(4)).double()

    def left_over(make):
        weight = nn.Parameter(torch.zeros(12, 20).double())
        optimizer = make([weight])
        for _ in range(300):
            optimizer.zero_grad()
            loss = (left @ (weight - target) @ right).square().sum()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert left_over(lambda p: SOAP(p, lr=2e-2)) < 0.5 * left_over(lambda p: torch.optim.Adam(p, lr=2e-2))


def test_sides_longer_than_largest_keep_their_own_basis():
    parameter = nn.Parameter(torch.zeros(4, 9))
    optimizer = SOAP([parameter], largest=8)
    parameter.grad = torch.ones(4, 9)
    optimizer.step()
    assert "basis_left" in optimizer.state[parameter]
    assert "basis_right" not in optimizer.state[parameter]


def test_a_dead_layer_stays_finite():
    parameter = nn.Parameter(torch.ones(3, 4))
    _run(SOAP([parameter]), parameter, [torch.zeros(3, 4)] * 25)
    assert torch.equal(parameter, torch.ones(3, 4))


def test_it_continues_from_a_saved_state_bit_by_bit():
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.PReLU(), nn.Conv2d(6, 1, 3))
    options = Optimizer(type="SOAP", lr=3e-3, precondition_freq=4)

    def train(network, optimizer, iterations):
        for iteration in iterations:
            image = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(iteration))
            optimizer.zero_grad()
            (network(image) - image[..., 2:-2, 2:-2]).abs().mean().backward()
            optimizer.step()

    whole, halves = copy.deepcopy(network), copy.deepcopy(network)
    train(whole, build_optimizer(options, [{"params": list(whole.parameters())}]), range(21))
    first = build_optimizer(options, [{"params": list(halves.parameters())}])
    train(halves, first, range(9))
    file = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "network": halves.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    later = copy.deepcopy(network)
    later.load_state_dict(saved["network"])
    second = build_optimizer(options, [{"params": list(later.parameters())}])
    second.load_state_dict(saved["optimizer"])
    train(later, second, range(9, 21))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), later.parameters(), strict=True))
