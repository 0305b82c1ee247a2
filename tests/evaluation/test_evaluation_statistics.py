"""Spread over runs and the bootstrap interval of a paired difference."""

import math

import numpy as np
import pytest
from scipy import stats

from sr_kd.errors import UsageError
from sr_kd.evaluation.scores import ImageScore, SetScore
from sr_kd.evaluation.statistics import paired_difference, spread


def score(psnr: list[float], name: str = "set") -> SetScore:
    return SetScore(name, 2, "rgb8", tuple(ImageScore(str(n), value, value / 50) for n, value in enumerate(psnr)))


def test_spread() -> None:
    runs = [score([30.0, 32.0]), score([31.0, 33.0]), score([32.0, 34.0])]
    found = spread(runs)
    assert (found.mean, found.deviation, found.runs) == (32.0, 1.0, 3)
    assert spread(runs[:1]).deviation == 0.0
    assert spread(runs, "ssim").mean == pytest.approx(0.64)


def test_the_interval_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(30, 4, 60)
    gain = rng.normal(0.3, 0.5, 60)
    found = paired_difference(score(list(base + gain)), score(list(base)))
    expected = stats.bootstrap((gain,), np.mean, n_resamples=20_000, method="percentile", random_state=0)
    assert found.mean == pytest.approx(gain.mean())
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.01)
    assert found.images == 60


def test_the_same_seed_gives_the_same_interval_and_the_order_only_the_sign() -> None:
    a, b = score([30.0, 31.5, 29.0, 35.0]), score([29.5, 31.6, 28.0, 33.0])
    forth, back = paired_difference(a, b, seed=5), paired_difference(b, a, seed=5)
    assert forth == paired_difference(a, b, seed=5)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))


def test_significance() -> None:
    base = [30.0, 31.0, 32.0, 33.0]
    assert paired_difference(score([value + 0.1 for value in base]), score(base)).significant
    assert not paired_difference(score([30.5, 30.5, 32.5, 32.5]), score(base)).significant


def test_identical_images_are_left_out() -> None:
    found = paired_difference(score([math.inf, 31.0]), score([math.inf, 30.0]))
    assert (found.mean, found.images) == (1.0, 1)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(UsageError, match="scores of Set5 x2 rgb8 with scores of Set14 x2 rgb8"):
        paired_difference(score([30.0], "Set5"), score([30.0], "Set14"))
    with pytest.raises(UsageError, match="not of the same images"):
        paired_difference(score([30.0]), score([30.0, 31.0]))
    with pytest.raises(UsageError, match="no image of set has a finite psnr"):
        paired_difference(score([math.inf]), score([math.inf]))
    with pytest.raises(UsageError, match="one set under one protocol"):
        spread([score([30.0], "Set5"), score([30.0], "Set14")])
    with pytest.raises(UsageError, match="ssim of set was not measured"):
        spread([SetScore("set", 2, "rgb8", (ImageScore("a", 30.0, None),))], "ssim")
