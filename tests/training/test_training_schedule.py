"""Learning rates against PyTorch's own schedulers, and their limits."""

from importlib import import_module

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sr_kd.config.phase import Scheduler
from sr_kd.training.schedule import learning_rate


def torch_rates(make, total, base=1e-3):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_equals_torch():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 200, eta_min=1e-5), 200)
    found = [learning_rate(1e-3, Scheduler(type="cosine", eta_min=1e-5), i, 200) for i in range(200)]
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("periods", "weights"), [([100, 60, 40], [1, 0.5, 0.25]), ([70, 130], [])])
@pytest.mark.usefixtures("basicsr")
def test_restarts_equal_basicsr(periods, weights):
    schedulers = import_module("basicsr.models.lr_scheduler")
    expected = torch_rates(
        lambda o: schedulers.CosineAnnealingRestartLR(o, periods, tuple(weights or [1] * len(periods)), 1e-5), 200
    )
    options = Scheduler(type="cosine", eta_min=1e-5, periods=periods, restart_weights=weights)
    assert [learning_rate(1e-3, options, i, 200) for i in range(200)] == pytest.approx(expected, rel=1e-9)


def test_a_period_falls_to_its_end_and_the_next_begins_at_its_weight():
    options = Scheduler(type="cosine", eta_min=1e-5, periods=[100, 60], restart_weights=[1, 0.5])
    rates = [learning_rate(1e-3, options, i, 160) for i in range(161)]
    assert (rates[0], rates[100], rates[160]) == pytest.approx((1e-3, 1e-5, 1e-5))
    assert rates[101] == pytest.approx(1e-5 + 0.5 * (1e-3 - 1e-5), rel=1e-2)
    assert rates[130] == pytest.approx(1e-5 + 0.25 * (1e-3 - 1e-5))


def test_multistep_equals_torch_and_returns_to_the_full_rate_after_warm_up():
    options = Scheduler(type="multistep", milestones=[50, 80], gamma=0.1)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [50, 80], gamma=0.1), 120)
    assert [learning_rate(1e-3, options, i, 120) for i in range(120)] == pytest.approx(expected)
    assert learning_rate(1e-3, options, 9, 120, warmup_iter=10) == 1e-3
    assert learning_rate(1e-3, options, 4, 120, warmup_iter=10) == pytest.approx(5e-4)


def test_one_cycle_rises_and_falls():
    options = Scheduler(type="one_cycle", pct_start=0.25)
    rates = [learning_rate(2e-3, options, i, 400) for i in range(401)]
    assert rates[0] == pytest.approx(2e-3 / 25)
    assert max(rates) == rates[100] == pytest.approx(2e-3)
    assert rates[400] == pytest.approx(2e-3 / 1e4)


@given(
    options=st.sampled_from(
        [
            Scheduler(),
            Scheduler(type="cosine", eta_min=1e-6),
            Scheduler(type="cosine", eta_min=1e-6, periods=[7, 100, 2000]),
            Scheduler(type="multistep", milestones=[10, 100]),
            Scheduler(type="one_cycle"),
        ]
    ),
    iteration=st.integers(0, 10_000),
    total=st.integers(1, 5_000),
    warmup=st.integers(0, 100),
)
def test_rates_stay_within_bounds_even_past_the_end(options, iteration, total, warmup):
    rate = learning_rate(1e-3, options, iteration, total, warmup)
    assert 0 < rate <= 1e-3 * (1 + 1e-12)
    assert rate == learning_rate(1e-3, options, iteration, total, warmup)
