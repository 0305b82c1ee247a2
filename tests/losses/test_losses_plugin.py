"""A user's own loss that breaks the contract is told how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from loss_inputs import loss_inputs_of, maps, pair

from sr_kd.errors import UsageError
from sr_kd.losses import LOSSES, Loss, LossInputs, TapPair, build_loss


class Careless(Loss):
    terms = ("one",)

    def __init__(self, pairs: Sequence[TapPair] = (), kind: str = "good") -> None:
        super().__init__(() if kind == "forgets its taps" else pairs)
        self.kind = kind

    def forward(self, inputs: LossInputs) -> Any:
        return {
            "good": {"one": torch.ones(())},
            "tensor": torch.ones(()),
            "map": {"one": torch.ones(2, 3)},
            "number": {"one": 1.0},
            "other name": {"two": torch.ones(())},
        }[self.kind]


class WithoutPairs(Loss):
    def __init__(self, low: float = 0.0) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for cls in (Careless, WithoutPairs):
        monkeypatch.setitem(LOSSES._parts, cls.__name__, cls)


def named_terms(kind: str) -> dict[str, torch.Tensor]:
    return build_loss("Careless", kind=kind).named_terms("Careless", loss_inputs_of(maps(1, 2, 3, 4), maps(1, 2, 3, 4)))


def test_terms_are_named_after_their_loss():
    assert named_terms("good") == {"Careless/one": torch.ones(())}


@pytest.mark.parametrize("kind", ["tensor", "map", "number"])
def test_what_is_no_dict_of_scalars(kind):
    with pytest.raises(UsageError, match=r"loss Careless: forward\(\) must return a dict of scalar tensors"):
        named_terms(kind)


def test_names_that_terms_does_not_have():
    with pytest.raises(UsageError, match="returns the term 'two', which its 'terms' do not name"):
        named_terms("other name")


def test_taps_that_are_not_taken_or_passed_on():
    with pytest.raises(UsageError, match=r"must call super\(\)\.__init__\(pairs\)"):
        build_loss("Careless", [pair(2, 2)], kind="forgets its taps")
    with pytest.raises(UsageError, match="the first argument of its constructor must be 'pairs'"):
        build_loss("WithoutPairs", low=2)
