"""Bad bars and returns end in an error that names them, or in a figure that is undefined and says why; never in a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evolve.backtest import metrics
from evolve.backtest.engine import backtest_positions
from evolve.backtest.gate import judge
from evolve.backtest.metrics import performance
from evolve.backtest.portfolio import backtest_portfolio
from evolve.backtest.random_entry import random_entry
from evolve.backtest.significance import backtest_overfitting, circular_shift_test
from evolve.backtest.sweep import sweep_crossovers, sweep_targets
from evolve.cards import Costs
from evolve.errors import DataUnavailable, EvolveError, InvalidRequest
from evolve.market.bars import Bars
from evolve.statistics import scores

COSTS = Costs(fee_bps=1.0, slippage_bps=4.0, borrow_bps_per_year=50.0)
YEAR = 252.0
Prices = tuple[np.ndarray, np.ndarray]
ENTRIES: dict[str, Callable[[Prices], Any]] = {
    "positions": lambda p: backtest_positions(*p, np.ones(len(p[1])), COSTS, bars_per_year=YEAR),
    "sweep": lambda p: sweep_targets(*p, np.ones((2, len(p[1]))), COSTS, bars_per_year=YEAR),
    "crossovers": lambda p: sweep_crossovers(*p, np.ones((2, len(p[1]))), [[0, 1]], COSTS, bars_per_year=YEAR),
    "portfolio": lambda p: backtest_portfolio(
        p[0][:, None], p[1][:, None], np.ones((len(p[1]), 1)), COSTS, bars_per_year=YEAR
    ),
    "random entry": lambda p: random_entry(
        *p, np.repeat([0.0, 1.0], len(p[1]) // 2), COSTS, bars_per_year=YEAR, rng=np.random.default_rng(1)
    ),
}


def prices(bars: int = 60) -> Prices:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, bars)))
    return np.concatenate([[100.0], close[:-1]]), close


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("bad", "said"),
    [(0.0, "positive"), (-5.0, "positive"), (np.nan, "nan"), (np.inf, "inf")],
    ids=["zero", "negative", "NaN", "infinite"],
)
@pytest.mark.parametrize("column", [0, 1], ids=["open", "close"])
def test_a_price_that_is_none_is_refused_by_every_kernel(entry: str, bad: float, said: str, column: int) -> None:
    given = prices()
    given[column][30:34] = bad

    with pytest.raises(InvalidRequest, match=said):
        ENTRIES[entry](given)


@pytest.mark.parametrize("entry", [name for name in ENTRIES if name != "random entry"])
def test_no_bars_are_refused(entry: str) -> None:
    with pytest.raises(InvalidRequest):
        ENTRIES[entry]((np.empty(0), np.empty(0)))


def test_one_bar_has_a_return_of_nothing_and_no_ratio() -> None:
    found = performance(backtest_positions([100.0], [101.0], [1.0], COSTS, bars_per_year=YEAR), bars_per_year=YEAR)

    assert found["total_return"].value == 0.0
    for name in ("sharpe", "volatility", "sortino", "var_95", "cvar_95", "tail_ratio", "win_rate", "profit_factor"):
        assert found[name].value is None, name  # type: ignore[literal-required, index]
        assert found[name].note, name  # type: ignore[literal-required, index]


def test_a_constant_price_has_no_ratio_whatever_is_held() -> None:
    still = np.full(300, 50.0)
    free = Costs(fee_bps=0.0, slippage_bps=0.0)

    found = performance(backtest_positions(still, still, np.ones(300), free, bars_per_year=YEAR), bars_per_year=YEAR)

    assert found["total_return"].value == pytest.approx(0.0, abs=1e-15)
    for name in ("sharpe", "sharpe_autocorrelation_corrected", "win_rate", "tail_ratio", "omega"):
        assert found[name].value is None, name  # type: ignore[literal-required, index]


def test_a_market_that_stands_still_gives_the_gate_nothing_to_call_an_edge() -> None:
    still = np.zeros(500)

    found = judge(
        np.zeros((500, 2)), still, ["a", "b"], horizon_bars=1, trials=2, bars_per_year=YEAR, rng=np.random.default_rng(1)
    )  # fmt: skip

    assert found.winner is None
    assert all(candidate.alpha.value is None for candidate in found.candidates)


RETURNS: dict[str, Callable[[np.ndarray], Any]] = {
    "total_return": metrics.total_return,
    "sharpe": lambda r: metrics.sharpe_ratio(r, bars_per_year=YEAR),
    "sharpe, bootstrapped": lambda r: metrics.sharpe_ratio_bootstrapped(
        r, bars_per_year=YEAR, rng=np.random.default_rng(1)
    ),
    "sharpe, autocorrelation": lambda r: metrics.sharpe_ratio_lo(r, bars_per_year=YEAR),
    "sortino": lambda r: metrics.sortino_ratio(r, bars_per_year=YEAR),
    "calmar": lambda r: metrics.calmar_ratio(r, bars_per_year=YEAR),
    "cagr": lambda r: metrics.cagr(r, bars_per_year=YEAR),
    "volatility": lambda r: metrics.annual_volatility(r, bars_per_year=YEAR),
    "drawdown": metrics.max_drawdown,
    "drawdown length": metrics.max_drawdown_bars,
    "win rate": metrics.win_rate,
    "profit factor": metrics.profit_factor,
    "value at risk": metrics.value_at_risk,
    "expected shortfall": metrics.conditional_value_at_risk,
    "omega": metrics.omega_ratio,
    "tail ratio": metrics.tail_ratio,
    "alpha": lambda r: metrics.alpha_beta(r, np.zeros(len(r)), bars_per_year=YEAR),
    "circular shift": lambda r: circular_shift_test(np.ones((len(r), 1)), r),
    "overfitting": lambda r: backtest_overfitting(np.column_stack([r, r])),
    "mean absolute error": lambda r: scores.mean_absolute_error(np.zeros(len(r)), r),
    "quantile loss": lambda r: scores.pinball(np.zeros(len(r)), r, quantile=0.5),
    "ranked probability": lambda r: scores.crps_normal(np.zeros(len(r)), np.ones(len(r)), r),
    "coverage": lambda r: scores.coverage(np.zeros(len(r)) - 1, np.ones(len(r)), r),
}


@pytest.mark.parametrize("name", RETURNS)
def test_a_hole_in_the_returns_is_refused_by_every_figure(name: str) -> None:
    sample = np.random.default_rng(2).normal(0, 0.01, 100)
    sample[40:45] = np.nan

    with pytest.raises(InvalidRequest, match="nan at"):
        RETURNS[name](sample)


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_bars_with_such_prices_cannot_be_made_so_no_model_is_judged_on_them(column: str, bad: float) -> None:
    opens, close = prices()
    good = Bars(
        symbol="TINY", timeframe="1d", time=86_400_000 * np.arange(60), open=opens, high=np.maximum(opens, close),
        low=np.minimum(opens, close), close=close, volume=np.ones(60), source="made for a test", bars_per_year=YEAR,
    )  # fmt: skip
    changed = getattr(good, column).copy()
    changed[7] = bad

    with pytest.raises(DataUnavailable, match=f"{column} of bar 7"):
        replace(good, **{column: changed})


@pytest.mark.parametrize("bars_per_year", [0.0, -252.0, np.nan])
def test_a_year_without_bars_is_refused(bars_per_year: float) -> None:
    with pytest.raises(EvolveError, match="bars_per_year"):
        metrics.sharpe_ratio([0.01, 0.02], bars_per_year=bars_per_year)
