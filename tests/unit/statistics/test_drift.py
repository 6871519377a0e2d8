"""Two samples compared: the figures of an independent library, and how often nothing is taken for something."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evolve.errors import InvalidRequest
from evolve.statistics.drift import (
    drift_between,
    effective_size,
    population_stability,
    smirnov_distance,
    smirnov_p,
)


def samples(seed, *, shift=0.0, scale=1.0, recent=126, reference=750):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, reference), rng.normal(shift, scale, recent)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_distance_and_p_are_those_of_scipy(shift):
    before, now = samples(1, shift=shift)

    expected = stats.ks_2samp(before, now, method="exact")

    distance = smirnov_distance(before, now)
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    assert smirnov_p(distance, len(before), len(now)) == pytest.approx(expected.pvalue, rel=0.15, abs=1e-6)


def test_the_index_is_the_sum_of_share_differences_times_their_log_ratio():
    before = np.repeat(np.arange(10.0), 10)
    now = np.repeat([0.0, 9.0], [30, 70])

    shares = (np.bincount(before.astype(int), minlength=10) + 0.5) / 105
    recent = (np.bincount(now.astype(int), minlength=10) + 0.5) / 105
    assert population_stability(before + 0.0, now) == pytest.approx(
        float(((recent - shares) * np.log(recent / shares)).sum()), rel=0.2
    )
    assert population_stability(before, before) == 0.0


def test_equal_laws_hardly_ever_make_both_tests_agree():
    agreed = sum(drift_between(*samples(seed)).agree(p=0.001, stability=0.25) for seed in range(2_000))

    assert agreed <= 2


@pytest.mark.parametrize(("shift", "scale"), [(0.8, 1.0), (0.0, 2.0)])
def test_a_shift_and_a_spread_of_losses_are_both_found(shift, scale):
    """Losses are squares: a wider spread of errors is a shift of them."""
    found = [
        drift_between(*(values**2 if scale > 1 else values for values in samples(seed, shift=shift, scale=scale)))
        for seed in range(50)
    ]

    assert sum(each.agree(p=0.001, stability=0.25) for each in found) >= 48


def test_a_persistent_series_counts_for_less():
    """An autoregression with coefficient φ is worth n (1 − φ) / (1 + φ) independent values."""
    rng = np.random.default_rng(3)
    values = np.zeros(20_000)
    for bar in range(1, len(values)):
        values[bar] = 0.8 * values[bar - 1] + rng.standard_normal()

    assert effective_size(values) == pytest.approx(20_000 * 0.2 / 1.8, rel=0.15)
    assert effective_size(rng.standard_normal(20_000)) == pytest.approx(20_000, rel=0.05)
    assert effective_size(np.ones(50)) == 1.0


def test_what_wanders_slowly_is_no_drift_because_it_has_wandered():
    """Treated as independent, features over windows would alarm all the time."""
    wrong = right = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = np.zeros(900)
        for bar in range(1, 900):
            values[bar] = 0.95 * values[bar - 1] + rng.standard_normal()
        wrong += drift_between(values[:750], values[774:]).agree(p=0.001, stability=0.25)
        right += drift_between(values[:750], values[774:], independent=False).agree(p=0.001, stability=0.25)

    assert wrong > 50
    assert right <= 4


def test_too_few_values_are_refused():
    with pytest.raises(InvalidRequest, match="at least 20 values on each side, not 100 and 19"):
        drift_between(np.arange(100.0), np.arange(19.0))
