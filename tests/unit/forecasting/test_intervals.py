"""Bands that keep their share of hits."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import DataUnavailable
from evolve.forecasting.intervals import LEVELS, conformal_bands

RNG = np.random.default_rng(0)


def bands(realised, *, std=None, mean=None, horizon_bars=1, earlier=None):
    bars = len(realised)
    return conformal_bands(
        np.zeros(bars) if mean is None else mean,
        np.ones(bars) if std is None else std,
        realised,
        horizon_bars=horizon_bars,
        earlier_errors=RNG.standard_normal(500) if earlier is None else earlier,
    )


def hits(found, realised):
    return np.array(
        [((low <= realised) & (realised <= high)).mean() for low, high in zip(found.low, found.high, strict=True)]
    )


@pytest.mark.parametrize("heavy", [False, True])
def test_bands_hold_their_share_whatever_the_law_of_the_errors(heavy):
    rng = np.random.default_rng(1)
    realised = rng.standard_t(3, 4000) if heavy else rng.uniform(-1, 1, 4000)

    found = bands(realised, earlier=rng.standard_t(3, 200) if heavy else rng.uniform(-1, 1, 200))

    np.testing.assert_allclose(hits(found, realised), LEVELS, atol=0.02)


def test_when_volatility_doubles_unforeseen_the_bands_catch_up():
    rng = np.random.default_rng(2)
    realised = rng.standard_normal(3000) * np.where(np.arange(3000) < 1500, 1, 2)

    found = bands(realised)

    assert hits(found, realised)[2] == pytest.approx(0.9, abs=0.02)
    assert np.mean(np.abs(realised[2500:]) <= found.high[2, 2500:]) > 0.85
    assert (found.high[2, -500:] - found.low[2, -500:]).mean() > 1.6 * (
        found.high[2, 500:1000] - found.low[2, 500:1000]
    ).mean()


def test_first_band_worked_by_hand():
    """Errors −50 … 49: rank of the lower end of the 80 % band is 0.1 · 101 − 1 = 9.1, of the upper end 99 − 9.1 = 89.9."""
    found = bands(np.array([np.nan]), std=np.array([2.0]), mean=np.array([1.0]), earlier=np.arange(-50.0, 50.0))

    assert found.low[1, 0] == pytest.approx(1 + 2 * (-50 + 9.1))
    assert found.high[1, 0] == pytest.approx(1 + 2 * (-50 + 89.9))
    assert found.median[0] == 1.0
    assert found.probability_up[0] == pytest.approx((50 + 0.5) / 101)


def test_bands_lie_inside_each_other():
    found = bands(RNG.standard_normal(600))

    assert (np.diff(found.low, axis=0) <= 0).mean() > 0.99
    assert (np.diff(found.high, axis=0) >= 0).mean() > 0.99


@pytest.mark.parametrize("horizon_bars", [1, 5])
def test_an_outcome_informs_no_band_before_it_is_known(horizon_bars):
    realised = RNG.standard_normal(200)
    earlier = RNG.standard_normal(100)
    changed = realised.copy()
    changed[100:] = 50.0

    one, other = (bands(each, horizon_bars=horizon_bars, earlier=earlier) for each in (realised, changed))

    known = 100 + horizon_bars
    np.testing.assert_array_equal(one.high[:, :known], other.high[:, :known])
    assert (one.high[:, known + 1 :] != other.high[:, known + 1 :]).any()


def test_too_few_errors_are_refused():
    with pytest.raises(DataUnavailable, match="10 known errors are too few"):
        bands(np.zeros(3), earlier=np.zeros(10))
