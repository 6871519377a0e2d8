"""What nobody can learn from is refused with a typed error that says why; what a family can do without, it says it did without."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from worlds import bars_of, planted

from evolve.errors import DataUnavailable
from evolve.forecasting.base import FAMILIES, forecaster

NEURAL = ("lstm", "tcn", "transformer")
HERE = [name for name in sorted(FAMILIES) if name not in NEURAL or importlib.util.find_spec("torch") is not None]
LEARNING = [name for name in HERE if forecaster(name).reads_features]
BARS = planted("ar1", bars=500, seed=0).bars

each = pytest.mark.parametrize("family", HERE)


@each
def test_fifty_bars_are_refused_with_the_number_that_is_needed(family):
    with pytest.raises(DataUnavailable, match=r"needs at least \d+ 1d bars"):
        forecaster(family).fit(BARS.slice(0, 50))


@each
def test_closes_that_never_change_are_refused(family):
    with pytest.raises(DataUnavailable, match="never change"):
        forecaster(family).fit(bars_of(np.zeros(500)))


@each
def test_bars_that_stop_moving_after_the_fit_are_still_forecast(family):
    returns = np.where(np.arange(600) < 400, np.random.default_rng(0).normal(0, 0.01, 600), 0.0)
    bars = bars_of(returns)

    forecasts = forecaster(family).fit(bars.slice(0, 400)).predict(bars, 400, 600)

    assert np.isfinite(forecasts.mean).all()
    assert (forecasts.std > 0).all()


@pytest.mark.parametrize("price", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_a_price_that_is_none_never_reaches_a_family(price, value):
    """Bars are checked when they are made, so that no family has to."""
    broken = getattr(BARS, price).copy()
    broken[300] = value

    with pytest.raises(DataUnavailable, match=f"{price} of bar 300 .* prices must be positive numbers"):
        replace(BARS, **{price: broken})


@each
def test_prices_that_explode_still_give_finite_forecasts(family):
    """A factor of e each bar for the last 300 of 800: 130 orders of magnitude."""
    quiet = np.random.default_rng(0).normal(0, 0.01, 800)
    bars = bars_of(np.where(np.arange(800) < 500, quiet, 1.0))

    forecasts = forecaster(family).fit(bars.slice(0, 600)).predict(bars, 600, 800)

    assert np.isfinite(forecasts.mean).all()
    assert np.isfinite(forecasts.std).all()
    assert (forecasts.std > 0).all()


@pytest.mark.parametrize("family", LEARNING)
def test_without_any_volume_a_family_learns_from_the_rest_and_says_so(family):
    fitted = forecaster(family).fit(replace(BARS, volume=np.full(500, np.nan)))

    assert "volume_z" not in fitted.features
    assert "no volume" in fitted.notes[0]
    assert np.isfinite(fitted.predict(replace(BARS, volume=np.full(500, np.nan)), 450, 500).mean).all()


@pytest.mark.parametrize("family", LEARNING)
def test_volume_that_was_asked_for_and_is_not_there_is_refused(family):
    with pytest.raises(DataUnavailable, match="has no volume for AR1; name other features: return_1"):
        forecaster(family).fit(replace(BARS, volume=np.full(500, np.nan)), features=["close", "volume"])


@pytest.mark.parametrize("family", LEARNING)
def test_single_missing_volumes_give_finite_forecasts(family):
    gappy = replace(BARS, volume=np.where(np.arange(500) % 7 == 0, np.nan, BARS.volume))

    forecasts = forecaster(family).fit(gappy.slice(0, 400)).predict(gappy, 400, 500)

    assert np.isfinite(forecasts.mean).all()


@pytest.mark.parametrize("family", [name for name in HERE if name not in LEARNING])
def test_families_that_look_at_closes_only_do_not_mind_missing_volume(family):
    without = replace(BARS, volume=np.full(500, np.nan))

    expected, found = (forecaster(family).fit(bars.slice(0, 400)).predict(bars, 400, 500) for bars in (BARS, without))

    np.testing.assert_array_equal(found.mean, expected.mean)
