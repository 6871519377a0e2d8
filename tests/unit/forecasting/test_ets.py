"""Exponential smoothing against its textbook recursion."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import planted

from evolve.forecasting.base import forecaster, restore
from evolve.forecasting.ets import smooth


def test_level_and_trend_worked_by_hand():
    """alpha 0.5, beta 0.2, phi 0.5 on 10, 12, 11: surprises 0, 2, −0.1 (expected 11.1)."""
    levels, trends = smooth(np.array([10.0, 12.0, 11.0]), np.array([0.5]), np.array([0.2]), np.array([0.5]))

    np.testing.assert_allclose(levels[:, 0], [10, 11, 11.05])
    np.testing.assert_allclose(trends[:, 0], [0, 0.2, 0.09])


def test_momentum_is_extrapolated_and_noise_is_left_alone():
    trending, noise = (planted(signal, bars=1200, seed=2, r2=r2) for signal, r2 in (("ar1", 0.2), ("noise", 0.02)))

    followed = forecaster("ets").fit(trending.bars.slice(0, 800)).predict(trending.bars, 800, 1199).mean
    left = forecaster("ets").fit(noise.bars.slice(0, 800)).predict(noise.bars, 800, 1199).mean

    assert trending.found(followed, 800) > 0.3
    assert noise.r2(left, 800) > -0.02


def test_a_longer_horizon_adds_the_fading_trend():
    bars = planted("momentum", bars=900, seed=3, r2=0.05).bars
    one, five = (forecaster("ets").fit(bars, horizon_bars=horizon) for horizon in (1, 5))

    assert five.predict(bars, 800, 900).std[0] > 1.5 * one.predict(bars, 800, 900).std[0]
    np.testing.assert_array_equal(
        restore(five.to_bytes()).predict(bars, 800, 900).mean, five.predict(bars, 800, 900).mean
    )


@pytest.mark.parametrize("alpha", [0.9, 1.0])
def test_alpha_is_a_hyperparameter(alpha):
    fitted = forecaster("ets").fit(planted("ar1", bars=500, seed=0).bars, hyperparameters={"alpha": alpha})

    assert fitted.alpha == alpha
