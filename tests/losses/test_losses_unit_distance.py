"""The distance of rows scaled to length 1: the form in blocks is the plain one."""

import pytest
import torch
from torch.nn import functional

from sr_kd.losses.numerics import unit
from sr_kd.losses.unit_distance import BLOCK, unit_distance


def rows(count, length, dtype=torch.float64):
    return torch.randn(count, length, dtype=dtype), torch.randn(count, length, dtype=dtype)


def plain(student, teacher):
    return functional.l1_loss(unit(student), unit(teacher))


@pytest.mark.parametrize("length", [1, 7, 3 * BLOCK * torch.get_num_threads() // 2])
def test_value_and_gradient_are_the_plain_ones(length):
    student, teacher = rows(2, length)
    one, other = (student.clone().requires_grad_() for _ in range(2))
    value, expected = unit_distance(one, teacher), plain(other, teacher)
    assert type(value.grad_fn).__name__ == "_InBlocksBackward"
    (3 * value).backward()
    (3 * expected).backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-15)


def test_equal_rows_have_neither_value_nor_gradient():
    student = rows(3, 1000, torch.float32)[0].requires_grad_()
    value = unit_distance(student, student.detach().clone())
    value.backward()
    assert value.item() == 0
    assert not student.grad.any()


def test_a_dead_row_has_a_finite_gradient():
    student, teacher = rows(2, 500, torch.float32)
    student[0] = 0
    student.requires_grad_()
    unit_distance(student, teacher).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 10


def test_a_teacher_that_learns_gets_its_gradient():
    student, teacher = (each.requires_grad_() for each in rows(2, 50))
    unit_distance(student, teacher).backward()
    found = teacher.grad.clone()
    teacher.grad = None
    plain(student, teacher).backward()
    assert torch.equal(found, teacher.grad)


def test_it_compiles_to_the_same_value():
    student, teacher = rows(2, 300, torch.float32)
    compiled = torch.compile(unit_distance, backend="eager", fullgraph=True)
    assert compiled(student, teacher).item() == pytest.approx(unit_distance(student, teacher).item(), rel=1e-6)
