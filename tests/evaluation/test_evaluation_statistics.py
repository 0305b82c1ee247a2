"""The interval of a paired difference over seeds and images."""

import math

import numpy as np
import pytest
from scipy import stats

from sr_kd.errors import UsageError
from sr_kd.evaluation.scores import ImageScore, SetScore
from sr_kd.evaluation.statistics import interval, paired_difference


def score(psnr: list[float], name: str = "set") -> SetScore:
    return SetScore(
        name, 2, "rgb8", tuple(ImageScore(str(n), {"psnr": value, "ssim": value / 50}) for n, value in enumerate(psnr))
    )


def test_over_images_alone_or_seeds_alone_it_is_the_t_interval_of_scipy() -> None:
    rng = np.random.default_rng(3)
    base, gain = rng.normal(30, 4, 60), rng.normal(0.3, 0.5, 60)
    expected = stats.ttest_1samp(gain, 0).confidence_interval(0.95)
    found = paired_difference([score(list(base + gain))], [score(list(base))])
    assert (found.mean, found.low, found.high) == pytest.approx((gain.mean(), expected.low, expected.high))
    assert (found.images, found.seeds) == (60, 1)
    expected = stats.ttest_1samp(gain[:5], 0).confidence_interval(0.95)
    found = paired_difference(
        [score([b + g]) for b, g in zip(base[:5], gain[:5], strict=True)], [score([b]) for b in base[:5]]
    )
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.images, found.seeds) == (1, 5)


@pytest.mark.parametrize(
    ("seeds", "images", "of_seed", "of_image"), [(3, 5, 0.1, 0.1), (2, 14, 0.2, 0.05), (5, 100, 0.02, 0.3)]
)
def test_the_interval_covers_the_truth_for_new_seeds_and_new_images(
    seeds: int, images: int, of_seed: float, of_image: float
) -> None:
    """Drawn from the crossed model, 95 % intervals hold the true mean 94 to 99.5 times in 100."""
    rng = np.random.default_rng(0)
    draws, held = 2000, 0
    for _ in range(draws):
        table = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, of_image, (1, images))
        low, high = interval(0.3 + table + rng.normal(0, 0.02, (seeds, images)))
        held += low < 0.3 < high
    assert 0.94 < held / draws < 0.995


def test_several_seeds_widen_the_interval_by_their_spread() -> None:
    base = [30.0, 31.0, 32.0, 33.0]
    alike = paired_difference([score([v + 0.1 * (1 + n % 2) for n, v in enumerate(base)])] * 3, [score(base)] * 3)
    apart = paired_difference(
        [score([v + 0.1 * (1 + n % 2) + shift for n, v in enumerate(base)]) for shift in (-0.1, 0.0, 0.1)],
        [score(base)] * 3,
    )
    assert apart.mean == pytest.approx(alike.mean)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_the_order_changes_the_sign_alone() -> None:
    a, b = [score([30.0, 31.5, 29.0, 35.0])], [score([29.5, 31.6, 28.0, 33.0])]
    forth, back = paired_difference(a, b), paired_difference(b, a)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))


def test_one_image_of_one_seed_has_no_interval() -> None:
    found = paired_difference([score([31.0])], [score([30.0])])
    assert found.mean == 1.0 and math.isnan(found.low) and math.isnan(found.high)


def test_identical_images_are_left_out() -> None:
    found = paired_difference([score([math.inf, 31.0])], [score([math.inf, 30.0])])
    assert (found.mean, found.images) == (1.0, 1)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(UsageError, match="scores of Set5 x2 rgb8 with scores of Set14 x2 rgb8"):
        paired_difference([score([30.0], "Set5")], [score([30.0], "Set14")])
    with pytest.raises(UsageError, match="not of the same images"):
        paired_difference([score([30.0])], [score([30.0, 31.0])])
    with pytest.raises(UsageError, match="no image of set has a finite psnr"):
        paired_difference([score([math.inf])], [score([math.inf])])
    with pytest.raises(UsageError, match="cannot pair 3 runs with 2: the seeds must be the same"):
        paired_difference([score([30.0])] * 3, [score([30.0])] * 2)
