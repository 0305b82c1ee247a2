"""The sampler's laws: bounds, independence of the split, and the frozen stream."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_kd.data.sampler import Draw, PatchSampler
from sr_kd.errors import UsageError

SIZES = np.array([[48, 64], [100, 33], [32, 32]])
FROZEN = [[1, 0, 1, 0], [13, 13, 37, 16], [1, 29, 1, 14], [0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0]]


def sampler(seed: int = 0, stream: str = "student", batch_size: int = 16, **options: bool) -> PatchSampler:
    return PatchSampler(
        SIZES,
        32,
        batch_size,
        hflip=options.get("hflip", True),
        rotate=options.get("rotate", True),
        seed=seed,
        stream=stream,
    )


def columns(draw: Draw) -> np.ndarray:
    return np.stack([getattr(draw, field.name).astype(np.int64) for field in fields(draw)])


@given(
    sizes=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=20),
    data=st.data(),
    iteration=st.integers(0, 2**40),
    seed=st.integers(-(2**70), 2**70),
)
def test_every_patch_lies_inside_its_image(sizes, data, iteration, seed):
    patch = data.draw(st.integers(1, min(min(size) for size in sizes)))
    lr_sizes = np.array(sizes)
    draw = PatchSampler(lr_sizes, patch, 64, hflip=True, rotate=True, seed=seed, stream="s").draw(iteration)
    height, width = lr_sizes[draw.image].T
    assert (draw.top >= 0).all() and (draw.left >= 0).all()
    assert (draw.top + patch <= height).all() and (draw.left + patch <= width).all()


@given(batch_size=st.integers(1, 40), world_size=st.integers(1, 9), iteration=st.integers(0, 10**9))
def test_the_ranks_share_the_global_batch(batch_size, world_size, iteration):
    draw = sampler(batch_size=batch_size).draw(iteration)
    shares = [columns(draw.share(rank, world_size)) for rank in range(world_size)]
    assert np.array_equal(np.concatenate(shares, axis=1), columns(draw))
    assert max(share.shape[1] for share in shares) - min(share.shape[1] for share in shares) <= 1


def test_a_draw_is_a_function_of_seed_stream_and_iteration():
    first = columns(sampler().draw(7))
    assert np.array_equal(columns(sampler().draw(7)), first)
    for other in (sampler(seed=1).draw(7), sampler(stream="teacher").draw(7), sampler().draw(8)):
        assert not np.array_equal(columns(other)[:3], first[:3])


def test_the_stream_is_frozen():
    # NumPy's Philox is Random123's; these values may never change, or runs could not be repeated.
    draw = sampler(seed=2020, stream="student", batch_size=4).draw(1000)
    assert columns(draw).tolist() == FROZEN


def test_a_sample_does_not_depend_on_the_batch_size():
    assert np.array_equal(columns(sampler(batch_size=8).draw(3)), columns(sampler(batch_size=64).draw(3))[:, :8])


def test_images_places_and_orientations_are_uniform():
    draw = sampler(batch_size=60_000).draw(0)
    assert np.bincount(draw.image) / 60_000 == pytest.approx(np.full(3, 1 / 3), abs=0.01)
    first = draw.image == 0
    places = draw.top[first] * 33 + draw.left[first]
    assert np.bincount(places, minlength=17 * 33).min() > 0
    assert places.mean() == pytest.approx((17 * 33 - 1) / 2, rel=0.02)
    code = draw.hflip + 2 * draw.vflip + 4 * draw.transpose
    assert np.bincount(code) / 60_000 == pytest.approx(np.full(8, 1 / 8), abs=0.01)


def test_orientations_are_options():
    draw = sampler(batch_size=200, hflip=False, rotate=False).draw(0)
    assert not (draw.hflip.any() or draw.vflip.any() or draw.transpose.any())
    draw = sampler(batch_size=200, rotate=False).draw(0)
    assert draw.hflip.any() and not (draw.vflip.any() or draw.transpose.any())


def test_a_patch_larger_than_an_image_is_refused():
    with pytest.raises(UsageError, match="33x33"):
        PatchSampler(SIZES, 33, 16, hflip=True, rotate=True, seed=0, stream="s")


def test_fixed_batches_recur_and_are_those_of_every_seed():
    def batches(seed: int, stream: str) -> list[bytes]:
        sampler = PatchSampler(SIZES, 16, 4, seed=seed, stream=stream, fixed=5)
        return [sampler.draw(iteration).top.tobytes() for iteration in range(15)]

    first, other = batches(0, "student"), batches(1, "baseline")
    for epoch in (0, 5, 10):
        assert len(set(first[epoch : epoch + 5])) == 5
        assert set(first[epoch : epoch + 5]) == set(other[:5])
    assert first != other
    assert first[:5] != first[5:10]
    assert first[12] == PatchSampler(SIZES, 16, 4, seed=0, stream="student", fixed=5).draw(12).top.tobytes()
