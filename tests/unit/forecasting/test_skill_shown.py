"""A forecast becomes a position only once forecasts with known outcomes have shown skill."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import planted

from evolve.errors import InvalidRequest
from evolve.forecasting.base import forecaster
from evolve.forecasting.skill import LEVEL, MIN_OUTCOMES, position_with_skill, skill_p_values
from evolve.forecasting.walk_forward import out_of_sample, position_from_forecast
from evolve.statistics.splits import walk_forward

BARS = 1000


def market(correlation: float, *, seed: int, horizon_bars: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecasts, their deviations and log closes; outcomes go with forecasts by `correlation`."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(BARS)
    returns = 0.01 * (correlation * signal + np.sqrt(1 - correlation**2) * rng.standard_normal(BARS))
    log_close = np.concatenate([[0.0], np.cumsum(returns)])[:-1]
    return 0.01 * correlation * signal, np.full(BARS, 0.01), log_close


def test_the_p_value_is_that_of_the_mean_product_of_forecast_and_outcome() -> None:
    from scipy.stats import ttest_1samp

    mean, std, log_close = market(0.2, seed=1)

    shown = skill_p_values(mean, std, log_close, horizon_bars=1)

    for decision in (100, 500, BARS - 1):
        agreement = np.diff(log_close)[:decision] / std[:decision] * mean[:decision] / std[:decision]
        assert shown[decision] == pytest.approx(ttest_1samp(agreement, 0.0, alternative="greater").pvalue, rel=1e-9)


def test_nothing_after_a_decision_changes_what_was_shown_there() -> None:
    mean, std, log_close = market(0.2, seed=2)
    later = np.where(np.arange(BARS) <= 400, log_close, log_close + 0.3 * np.arange(BARS))

    ours, other = (skill_p_values(mean, std, closes, horizon_bars=5) for closes in (log_close, later))

    assert np.array_equal(ours[:401], other[:401])
    assert not np.array_equal(ours[406:], other[406:])


def test_too_few_outcomes_show_nothing_and_overlapping_ones_count_once() -> None:
    mean, std, log_close = market(0.9, seed=3)

    daily, weekly = (skill_p_values(mean, std, log_close, horizon_bars=horizon) for horizon in (1, 5))

    assert (daily[:MIN_OUTCOMES] == 1).all()
    assert daily[MIN_OUTCOMES] < LEVEL
    assert (weekly[: 5 * MIN_OUTCOMES] == 1).all()


def test_without_skill_one_walk_in_twenty_is_believed_at_a_given_bar_and_with_skill_most() -> None:
    chance, skilled = (
        np.mean([skill_p_values(*market(strength, seed=seed), horizon_bars=1)[-1] <= LEVEL for seed in range(200)])
        for strength in (1e-6, 0.14)
    )

    assert 0.01 <= chance <= 0.10
    assert skilled >= 0.95  # an R² of 2 %


def test_a_position_is_zero_where_no_skill_was_shown() -> None:
    held = position_with_skill(np.array([0.5, -0.5, 0.5]), np.array([0.05, 0.06, 1.0]))

    assert held.tolist() == [0.5, 0.0, 0.0]


@pytest.mark.parametrize("forecast", [0.0, 0.001])
def test_a_forecast_that_never_met_a_move_shows_nothing(forecast: float) -> None:
    still = skill_p_values(np.full(200, forecast), np.full(200, 0.01), np.zeros(200), horizon_bars=1)

    assert (still == 1).all()


def test_series_of_unequal_length_and_a_horizon_below_one_are_refused() -> None:
    mean, std, log_close = market(0.2, seed=4)

    with pytest.raises(InvalidRequest, match="equally long"):
        skill_p_values(mean[:-1], std, log_close, horizon_bars=1)
    with pytest.raises(InvalidRequest, match="horizon_bars"):
        skill_p_values(mean, std, log_close, horizon_bars=0)


WORLDS, WALK_BARS, FIRST_TRAIN_BARS = 30, 2520, 840
COST = 0.0002  # of a trade: half of the round trip that a forecast must pay for


def walked(signal: str, r2: float, seed: int) -> list[tuple[float, float]]:
    """(share of bars in the market, annual Sharpe ratio after costs) of ridge, without the rule and with it."""
    bars = planted(signal, bars=WALK_BARS, seed=seed, **({"r2": r2} if r2 else {})).bars
    folds = walk_forward(WALK_BARS, folds=5, first_train_bars=FIRST_TRAIN_BARS, embargo_bars=0)
    found = out_of_sample(forecaster("ridge"), bars, folds, seed=1)
    believed = position_from_forecast(
        found.mean, found.std, horizon_bars=1, bars_per_year=bars.bars_per_year, round_trip_cost=2 * COST
    )
    shown = skill_p_values(found.mean, found.std, np.log(bars.close[found.start :]), horizon_bars=1)
    # Decided at a close, held from the next open to the one after it.
    earned = np.diff(np.log(bars.open))[found.start + 1 :]
    figures = []
    for position in (believed, position_with_skill(believed, shown)):
        held = position[:-2]
        net = held * earned - np.abs(np.diff(held, prepend=0.0)) * COST
        sharpe = float(net.mean() / net.std() * np.sqrt(bars.bars_per_year)) if net.any() else 0.0
        figures.append((float(np.mean(position != 0)), sharpe))
    return figures


@pytest.mark.prove
def test_the_rule_keeps_noise_out_and_costs_a_real_signal_little() -> None:
    """The figures of docs/models.md: `make prove ARGS="-k keeps_noise_out -rP"`."""
    noise, weak, planted_signal = (
        np.mean([walked(signal, r2, 100 + seed) for seed in range(WORLDS)], axis=0)
        for signal, r2 in (("noise", 0.0), ("momentum", 0.008), ("momentum", 0.02))
    )
    for name, ((before, sharpe_before), (after, sharpe)) in (
        ("noise", noise),
        ("R² 0.8 %", weak),
        ("R² 2 %", planted_signal),
    ):
        print(f"{name}: in the market {before:.1%} -> {after:.1%}, Sharpe ratio {sharpe_before:.2f} -> {sharpe:.2f}")

    assert noise[1][0] <= 0.02
    assert planted_signal[1][1] >= 0.8 * planted_signal[0][1] > 0
