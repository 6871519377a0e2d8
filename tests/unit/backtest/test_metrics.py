from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evolve.backtest import metrics
from evolve.backtest.engine import backtest_positions
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.statistics.metric import Metric

YEAR = 252
FOUR = np.array([0.10, -0.05, 0.02, -0.03])


@pytest.fixture(scope="module")
def fat_tails() -> np.ndarray:
    """The returns that empyrical-reloaded 0.7.1 was asked about."""
    rng = np.random.default_rng(20)
    return rng.standard_t(4, 600) * 0.01 + 0.0005


def test_the_figures_equal_empyrical(fat_tails: np.ndarray) -> None:
    """empyrical-reloaded 0.7.1, daily: sharpe_ratio, sortino_ratio, calmar_ratio, annual_return, max_drawdown, annual_volatility, cum_returns_final,
    value_at_risk, conditional_value_at_risk, omega_ratio, tail_ratio."""
    expected = {
        metrics.sharpe_ratio(fat_tails, bars_per_year=YEAR): -0.8983084165277352,
        metrics.sortino_ratio(fat_tails, bars_per_year=YEAR): -1.1979094371510726,
        metrics.calmar_ratio(fat_tails, bars_per_year=YEAR): -0.39242640544416413,
        metrics.cagr(fat_tails, bars_per_year=YEAR): -0.2046036794147288,
        metrics.max_drawdown(fat_tails): -0.5213810196669871,
        metrics.annual_volatility(fat_tails, bars_per_year=YEAR): 0.2262651871350022,
        metrics.total_return(fat_tails): -0.42017861028465087,
        metrics.value_at_risk(fat_tails): -0.022851779360776803,
        metrics.conditional_value_at_risk(fat_tails): -0.03600595703466344,
        metrics.omega_ratio(fat_tails): 0.8470722045574324,
        metrics.tail_ratio(fat_tails): 0.788124748238695,
    }

    for metric, value in expected.items():
        assert metric.value == pytest.approx(value, rel=1e-10)
        assert metric.n == 600


@pytest.mark.prove
def test_the_sp500_has_the_known_sharpe_ratio_and_drawdown() -> None:
    """5,030 returns of arch.data.sp500; figures of three independent libraries."""
    sp500 = pytest.importorskip("arch.data.sp500", reason="the oracle's data come with the package arch")
    close = sp500.load()["Adj Close"].to_numpy()
    returns = close[1:] / close[:-1] - 1

    assert metrics.sharpe_ratio(returns, bars_per_year=YEAR).value == pytest.approx(0.282739, abs=5e-7)
    assert metrics.max_drawdown(returns).value == pytest.approx(-0.567754, abs=5e-7)
    assert metrics.total_return(returns).value == pytest.approx(1.041243, abs=5e-7)


def test_a_tail_without_losses_has_no_ratio() -> None:
    assert metrics.omega_ratio([0.01, 0.02]).value is None
    assert metrics.tail_ratio(np.zeros(40)).value is None
    assert metrics.value_at_risk([0.1]).value is None
    assert metrics.conditional_value_at_risk([-0.3, 0.1]).value == -0.3  # by hand: the worst of two


def test_los_factor_for_a_year_of_autocorrelated_months() -> None:
    """Lo (2002), table 2: η(12) of an AR(1) with ρ = 0.2 is 2.88."""
    assert metrics.lo_scale(0.2 ** np.arange(1, 12), bars_per_year=12) == pytest.approx(2.8788, abs=5e-5)


def test_without_autocorrelation_los_factor_is_the_square_root_of_time() -> None:
    assert metrics.lo_scale([], bars_per_year=12) == pytest.approx(math.sqrt(12))


def test_smooth_returns_lose_sharpe_to_their_autocorrelation() -> None:
    shocks = np.random.default_rng(1).normal(0.001, 0.01, 3000)
    smooth = np.convolve(shocks, [0.5, 0.5], mode="valid")

    plain = metrics.sharpe_ratio(smooth, bars_per_year=YEAR).value
    corrected = metrics.sharpe_ratio_lo(smooth, bars_per_year=YEAR, lags=1).value

    # ρ1 = ½ doubles the variance of a year: the ratio falls by √2.
    assert plain is not None
    assert corrected == pytest.approx(plain / math.sqrt(2), rel=0.02)


def test_drawdown_counts_the_start_as_a_peak() -> None:
    assert metrics.max_drawdown([-0.2, 0.1]).value == pytest.approx(-0.2)
    assert metrics.max_drawdown([0.1, 0.2]).value == 0


def test_the_length_of_a_drawdown_runs_from_its_peak_to_the_recovery() -> None:
    # Equity 1, 1.1, 0.99, 1.045, 1.1…: the peak is after bar 0, recovered three bars later.
    recovered = metrics.max_drawdown_bars([0.1, -0.1, 1.045 / 0.99 - 1, 1.2 / 1.045 - 1, 0.0])

    assert recovered.value == 3
    assert recovered.note == ""


def test_a_drawdown_that_lasts_says_so() -> None:
    lasting = metrics.max_drawdown_bars([0.1, -0.1, 0.01])

    assert lasting.value == 2
    assert "not recovered" in lasting.note


def test_win_rate_and_profit_factor_by_hand() -> None:
    assert metrics.win_rate([*FOUR, 0.0]).value == pytest.approx(0.5)
    assert metrics.win_rate([*FOUR, 0.0]).n == 4
    assert metrics.profit_factor(FOUR).value == pytest.approx(0.12 / 0.08)


def test_sortino_counts_all_bars_in_the_downside() -> None:
    downside = math.sqrt((0.05**2 + 0.03**2) / 4)

    assert metrics.sortino_ratio(FOUR, bars_per_year=YEAR).value == pytest.approx(0.01 / downside * math.sqrt(252))


def test_growth_over_less_than_a_year_says_that_it_is_extrapolated() -> None:
    metric = metrics.cagr(np.full(126, 0.001), bars_per_year=YEAR)

    assert metric.value == pytest.approx(1.001**252 - 1)
    assert metric.note == "extrapolated from 0.50 years"


def test_the_standard_error_of_a_years_sharpe_on_62_days_is_two() -> None:
    """Why 90 calendar days prove nothing (findings.md, power)."""
    returns = np.random.default_rng(2).normal(0, 0.01, 62)

    metric = metrics.sharpe_ratio(returns, bars_per_year=YEAR)

    assert metric.low is not None
    assert metric.high is not None
    assert (metric.high - metric.low) / (2 * 1.96) == pytest.approx(2.0, abs=0.1)


def test_the_bootstrap_interval_of_a_sharpe_ratio_agrees_with_theory_on_independent_returns() -> None:
    returns = np.random.default_rng(3).normal(0.0005, 0.01, 1500)

    theory = metrics.sharpe_ratio(returns, bars_per_year=YEAR)
    resampled = metrics.sharpe_ratio_bootstrapped(
        returns, bars_per_year=YEAR, rng=np.random.default_rng(4), mean_block_bars=1
    )

    assert resampled.value == theory.value
    assert resampled.low == pytest.approx(theory.low, abs=0.1)
    assert resampled.high == pytest.approx(theory.high, abs=0.1)


def test_alpha_and_beta_of_a_levered_benchmark_are_known() -> None:
    benchmark = np.random.default_rng(5).normal(0.0003, 0.01, 500)

    alpha, beta = metrics.alpha_beta(1.5 * benchmark + 0.0001, benchmark, bars_per_year=YEAR)

    assert beta.value == pytest.approx(1.5)
    assert alpha.value == pytest.approx(0.0252)
    assert "explains every bar" in alpha.note


def test_the_alpha_of_noise_has_zero_inside_its_interval() -> None:
    rng = np.random.default_rng(6)

    alpha, _ = metrics.alpha_beta(rng.normal(0, 0.01, 500), rng.normal(0, 0.01, 500), bars_per_year=YEAR)

    assert alpha.low is not None
    assert alpha.high is not None
    assert alpha.low < 0 < alpha.high


UNDEFINED = {
    "total_return of nothing": metrics.total_return([]),
    "cagr of nothing": metrics.cagr([], bars_per_year=YEAR),
    "cagr of a total loss": metrics.cagr([0.1, -1.0], bars_per_year=YEAR),
    "volatility of one bar": metrics.annual_volatility([0.1], bars_per_year=YEAR),
    "sharpe of one bar": metrics.sharpe_ratio([0.1], bars_per_year=YEAR),
    "sharpe of a constant": metrics.sharpe_ratio([0.01] * 50, bars_per_year=YEAR),
    "sharpe of a flat account": metrics.sharpe_ratio([0.0] * 50, bars_per_year=YEAR),
    "lo's sharpe of a flat account": metrics.sharpe_ratio_lo([0.0] * 50, bars_per_year=YEAR),
    "sortino without a loss": metrics.sortino_ratio([0.01, 0.02], bars_per_year=YEAR),
    "calmar without a drawdown": metrics.calmar_ratio([0.01, 0.02], bars_per_year=YEAR),
    "drawdown of nothing": metrics.max_drawdown([]),
    "drawdown length of nothing": metrics.max_drawdown_bars([]),
    "win rate of a flat account": metrics.win_rate([0.0, 0.0]),
    "profit factor without a loss": metrics.profit_factor([0.1]),
    "turnover of nothing": metrics.turnover_per_year([], bars_per_year=YEAR),
    "exposure of nothing": metrics.exposure([]),
    "alpha against a constant": metrics.alpha_beta(FOUR, [0.0] * 4, bars_per_year=YEAR)[0],
    "beta of too few bars": metrics.alpha_beta([0.1], [0.1], bars_per_year=YEAR)[1],
}


@pytest.mark.parametrize("metric", UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_none_with_a_reason_never_infinite(metric: Metric) -> None:
    assert metric.value is None
    assert metric.note


@given(arrays(np.float64, st.integers(0, 40), elements=st.floats(-0.9, 0.9)))
@settings(deadline=None, max_examples=60)
def test_no_returns_whatever_give_a_figure_that_is_not_finite(returns: np.ndarray) -> None:
    figures = [
        metrics.total_return(returns),
        metrics.cagr(returns, bars_per_year=YEAR),
        metrics.annual_volatility(returns, bars_per_year=YEAR),
        metrics.sharpe_ratio(returns, bars_per_year=YEAR),
        metrics.sharpe_ratio_lo(returns, bars_per_year=YEAR),
        metrics.sortino_ratio(returns, bars_per_year=YEAR),
        metrics.calmar_ratio(returns, bars_per_year=YEAR),
        metrics.max_drawdown(returns),
        metrics.profit_factor(returns),
        *metrics.alpha_beta(returns, returns[::-1], bars_per_year=YEAR),
    ]

    for figure in figures:
        assert figure.note if figure.value is None else math.isfinite(figure.value)


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.5, 0.5)), st.integers(1, 39))
@settings(deadline=None)
def test_a_drawdown_never_shrinks_when_more_bars_are_seen(returns: np.ndarray, seen: int) -> None:
    whole, part = metrics.max_drawdown(returns).value, metrics.max_drawdown(returns[: min(seen, len(returns))]).value

    assert whole is not None
    assert part is not None
    assert -1 <= whole <= part <= 0


def test_a_backtest_is_measured_by_name_and_every_name_has_a_unit() -> None:
    prices = np.array([100.0, 100, 110, 99, 120])
    result = backtest_positions(prices, prices, np.array([1.0, 1, 0, 0, 0]), Costs(0, 0), bars_per_year=YEAR)
    benchmark = np.diff(prices, prepend=100) / np.array([100, *prices[:-1]])

    figures = metrics.performance(result, bars_per_year=YEAR, benchmark_returns=benchmark)

    # In at the open of bar 1 (100), out at the open of bar 3 (99).
    assert figures["total_return"].value == pytest.approx(-0.01)
    assert figures["exposure"].value == pytest.approx(2 / 5)
    assert figures["turnover_per_year"].value == pytest.approx((1 + 99 / 110) * YEAR / 5)
    assert figures["costs_paid"].value == 0
    assert set(figures) == set(metrics.METRIC_UNITS)


def test_bars_per_year_is_never_guessed() -> None:
    with pytest.raises(InvalidRequest, match="bars_per_year"):
        metrics.sharpe_ratio(FOUR, bars_per_year=0)
