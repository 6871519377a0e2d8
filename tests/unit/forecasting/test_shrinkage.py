"""How much of an out-of-fold forecast is believed: nothing without skill, nearly all of a strong one."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.forecasting.shrinkage import believed, shrinkage, shrinkages


def test_a_forecast_without_skill_is_shrunk_to_nothing():
    rng = np.random.default_rng(0)
    forecast, target = rng.normal(0, 0.1, 2000), rng.normal(0, 1, 2000)

    skilled, unskilled = (shrinkage(forecast, target + k * forecast, horizon_bars=1) for k in (1.0, 0.0))

    assert skilled.factor > 0.55
    assert unskilled.factor < 0.15
    assert shrinkage(-forecast, target + forecast, horizon_bars=1).factor == 0.0


def test_shrinkage_worked_by_hand():
    """f = ±1, y = 2f + noise orthogonal to f: slope 2; residual variance 3; t² = 4 · 3/3; 0.85 · 2 · (1 − 2/4)."""
    forecast = np.array([1.0, -1.0, 1.0, -1.0])
    noise = np.sqrt(3) * np.array([1.0, 1.0, -1.0, -1.0])

    shrunk = shrinkage(forecast, 2 * forecast + noise, horizon_bars=1)

    assert shrunk.t == pytest.approx(2.0)
    assert shrunk.factor == pytest.approx(0.85)
    assert shrinkage(4 * forecast, 2 * forecast + noise, horizon_bars=1).factor == pytest.approx(0.85 / 4)
    assert shrinkage(forecast / 4, 2 * forecast + noise, horizon_bars=1).factor == 1.0
    assert shrinkage(forecast / 4, 2 * forecast + noise, horizon_bars=1, most=3.0).factor == 3.0


def test_a_second_part_is_believed_for_what_the_first_left():
    rng = np.random.default_rng(0)
    first, second, noise = rng.normal(0, 0.1, 2000), rng.normal(0, 0.1, 2000), rng.normal(0, 1, 2000)

    told, repeated = (
        shrinkages(np.stack([first, part]), first + second + noise, horizon_bars=1) for part in (second, first)
    )

    assert told[0].factor > 0.5
    assert told[1].factor > 0.5
    assert repeated[1].factor < 0.2
    np.testing.assert_allclose(
        believed(np.stack([first, second]), told), told[0].factor * first + told[1].factor * second
    )


def test_overlapping_targets_count_as_fewer_observations():
    rng = np.random.default_rng(0)
    forecast = rng.normal(0, 0.1, 1000)
    target = forecast + rng.normal(0, 1, 1000)

    assert shrinkage(forecast, target, horizon_bars=10).t < 0.4 * shrinkage(forecast, target, horizon_bars=1).t


def test_a_forecast_that_is_zero_everywhere_is_worth_nothing():
    assert shrinkage(np.zeros(10), np.ones(10), horizon_bars=1).factor == 0.0
