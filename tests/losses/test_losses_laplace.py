"""The likelihood made in one pass is the formula: values, gradients, and where it may be used."""

from __future__ import annotations

import pytest
import torch

from sr_kd.losses.laplace import laplace_nll, laplace_nll_of_raw, positive

FACTOR = 0.1


def inputs(layout=torch.contiguous_format, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    # Of several blocks, the last one smaller.
    target, location, raw = (
        torch.randn(2, 7, 101, 103, generator=generator, dtype=dtype).to(memory_format=layout) for _ in range(3)
    )
    return 0.1 * target, (0.1 * location).requires_grad_(), (3 * raw).requires_grad_()


def derivatives(value, *inputs):
    return torch.autograd.grad(3 * value, inputs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_pass_gives_the_formulas_value_and_gradients(layout):
    target, location, raw = inputs(layout)
    value = laplace_nll_of_raw(target, location, raw, FACTOR)
    assert "InOnePass" in type(value.grad_fn).__name__
    found = derivatives(value, location, raw)
    exact = [each.detach().double().requires_grad_() for each in (target, location, raw)]
    reference = laplace_nll(exact[0], exact[1], positive(exact[2], FACTOR))
    assert value.item() == pytest.approx(reference.item(), rel=1e-6)
    for one, other in zip(found, derivatives(reference, *exact[1:]), strict=True):
        assert one.is_contiguous(memory_format=layout)
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-6 * float(other.abs().max()))


def test_gradients_may_be_asked_for_twice():
    target, location, raw = inputs()
    value = laplace_nll_of_raw(target, location, raw, FACTOR)
    once = torch.autograd.grad(value, (location, raw), retain_graph=True)
    for one, again in zip(once, torch.autograd.grad(value, (location, raw)), strict=True):
        assert torch.equal(one, again)


@pytest.mark.parametrize("case", ["another layout", "double precision", "a scale per pixel"])
def test_other_maps_take_the_formula(case):
    target, location, raw = inputs(dtype=torch.float64 if case == "double precision" else torch.float32)
    if case == "another layout":
        target = target.to(memory_format=torch.channels_last)
    elif case == "a scale per pixel":
        raw = raw[:, :1]
    value = laplace_nll_of_raw(target, location, raw, FACTOR)
    assert "InOnePass" not in type(value.grad_fn).__name__
    assert value.item() == pytest.approx(laplace_nll(target, location, positive(raw, FACTOR)).item(), rel=1e-6)


def test_an_error_of_zero_has_no_gradient_to_the_location():
    target, _, raw = inputs()
    location = target.clone().requires_grad_()
    to_location, to_raw = derivatives(laplace_nll_of_raw(target, location, raw, FACTOR), location, raw)
    assert not to_location.any() and bool((to_raw > 0).all())
