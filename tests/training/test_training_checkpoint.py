"""States are complete, atomic, checked, and bounded in number."""

import pytest
import torch

from sr_kd.errors import SrKdError
from sr_kd.training.checkpoint import StateFolder, read_state


def test_round_trip_keeps_the_newest(tmp_path):
    states = StateFolder(tmp_path, keep=2)
    for iteration in (5, 10, 100):
        states.save(iteration, {"weights": torch.full((3,), float(iteration)), "best": -float("inf")})
    assert states.iterations() == [10, 100]
    iteration, state = states.load_latest()
    assert iteration == 100
    assert torch.equal(state["weights"], torch.full((3,), 100.0))
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".state"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_state_is_named_and_the_one_before_is_taken(tmp_path, damage, caplog):
    states = StateFolder(tmp_path)
    states.save(1, {"value": 1})
    path = states.save(2, {"value": 2})
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 2] ^= 0xFF
    else:
        data = bytearray()
    path.write_bytes(bytes(data))
    with pytest.raises(SrKdError, match=r"2\.state is damaged"):
        read_state(path)
    with caplog.at_level("WARNING", logger="sr_kd"):
        assert states.load_latest() == (1, {"value": 1})
    assert "2.state is damaged" in caplog.text


def test_nothing_saved(tmp_path):
    assert StateFolder(tmp_path / "none").load_latest() is None
