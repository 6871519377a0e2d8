"""The baselines by hand."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import bars_of, planted

from evolve.errors import DataUnavailable
from evolve.forecasting.base import forecaster
from evolve.forecasting.naive import trailing_std

BARS = planted("noise", bars=300, seed=1).bars
RETURNS = np.diff(np.log(BARS.close))


def test_naive_forecasts_no_change():
    np.testing.assert_array_equal(forecaster("naive").fit(BARS).predict(BARS, 200, 300).mean, np.zeros(100))


def test_drift_goes_on_with_the_mean_return_of_the_training_part():
    forecasts = forecaster("drift").fit(BARS.slice(0, 200), horizon_bars=3).predict(BARS, 200, 300)

    # The mean of 199 log returns is the whole way over 199.
    np.testing.assert_allclose(forecasts.mean, 3 * np.log(BARS.close[199] / BARS.close[0]) / 199)


@pytest.mark.parametrize("family", ["naive", "drift"])
def test_the_standard_deviation_is_that_of_the_last_returns_times_the_root_of_the_horizon(family):
    fitted = forecaster(family).fit(BARS, hyperparameters={"window_bars": 20}, horizon_bars=4)

    std = fitted.predict(BARS, 250, 251).std

    np.testing.assert_allclose(std, 2 * RETURNS[230:250].std())


def test_a_trailing_deviation_over_a_stretch_without_moves_keeps_a_tenth_of_the_past():
    bars = bars_of(np.r_[0.0, np.tile([0.02, -0.02], 50), np.zeros(100)])

    assert trailing_std(bars, 50)[-1] == pytest.approx(0.1 * np.sqrt(100 * 0.0004 / 200))


def test_baselines_ignore_the_features_that_the_learning_families_are_given():
    assert forecaster("naive").fit(BARS, features=["rsi"]).features == ()


def test_too_few_bars_for_the_window_are_refused():
    with pytest.raises(DataUnavailable, match="naive needs at least 64 1d bars; NOISE has 50 here"):
        forecaster("naive").fit(BARS.slice(0, 50))
