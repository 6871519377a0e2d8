"""A pair as one instrument: worth what its two legs are worth, by hand and by the portfolio engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evolve.backtest.engine import backtest_positions
from evolve.backtest.portfolio import backtest_portfolio
from evolve.cards import Costs
from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.calendar import venue_of
from evolve.market.pair import pair_of_bars

DAY_MS = 86_400_000
FREE = Costs(fee_bps=0.0, slippage_bps=0.0)


def bars(symbol: str, open_, close, *, first_day: int = 0, **more) -> Bars:
    open_, close = np.asarray(open_, float), np.asarray(close, float)
    about = {"source": "made for a test", "bars_per_year": 252.0, "timeframe": "1d", **more}
    return Bars(
        symbol=symbol, time=1_400_000_000_000 + DAY_MS * (first_day + np.arange(len(close))), open=open_, close=close,
        high=np.maximum(open_, close), low=np.minimum(open_, close), volume=np.full(len(close), 1e6), **about,
    )  # fmt: skip


def walk(symbol: str, seed: int, count: int = 400, **more) -> Bars:
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.01, count)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(chance.normal(0, 0.003, count))
    return bars(symbol, open_, close, **more)


def test_a_pair_earns_half_of_what_the_first_gains_on_the_second():
    # Bar 0: +10 % against +2 % is +4 %; from open to open: +20 % against −10 % is +15 %. Bar 1: −5 % against +1 % is −3 % of 115.
    pair = pair_of_bars(bars("A", [10, 12], [11, 11.4]), bars("B", [100, 90], [102, 90.9]))
    np.testing.assert_allclose(pair.bars.open, [100, 115])
    np.testing.assert_allclose(pair.bars.close, [104, 111.55])


def test_holding_the_pair_is_holding_both_legs_reset_at_each_open():
    """The same account by the portfolio engine: a weight that changes in the last digits makes it trade at every open."""
    first, second = walk("AAPL", 1), walk("MSFT", 2)
    pair = pair_of_bars(first, second)
    wiggle = 0.5 + 1e-12 * (np.arange(400) % 2)
    both = backtest_portfolio(
        np.column_stack([first.open, second.open]), np.column_stack([first.close, second.close]),
        np.column_stack([wiggle, -wiggle]), FREE, bars_per_year=252.0, max_leverage=1.0001,
    )  # fmt: skip
    one = backtest_positions(pair.bars.open, pair.bars.close, np.ones(400), FREE, bars_per_year=252.0)
    np.testing.assert_allclose(one.equity, both.equity, rtol=1e-9)


def test_the_costs_of_the_pair_are_those_of_both_legs():
    """In and out a few times: charged on the pair as on a portfolio of its legs, but for what keeps them equal."""
    first, second = walk("AAPL", 3), walk("MSFT", 4)
    pair = pair_of_bars(first, second)
    target = (np.arange(400) // 20 % 2).astype(float)
    costs = Costs(fee_bps=5.0, slippage_bps=5.0)
    one = backtest_positions(pair.bars.open, pair.bars.close, target, costs, bars_per_year=252.0)
    both = backtest_portfolio(
        np.column_stack([first.open, second.open]), np.column_stack([first.close, second.close]),
        np.column_stack([target / 2, -target / 2]), costs, bars_per_year=252.0,
    )  # fmt: skip
    assert one.costs_paid == pytest.approx(both.costs_paid, rel=0.02)
    assert one.equity[-1] == pytest.approx(both.equity[-1], rel=0.01)


def test_only_bars_that_both_have_count_and_what_is_left_out_is_said():
    pair = pair_of_bars(walk("AAPL", 1, 100), walk("MSFT", 2, 100, first_day=30))
    assert (len(pair.bars), len(pair.first), len(pair.second)) == (70, 70, 70)
    assert any("60 bars that only one of the two has" in note for note in pair.bars.notes)
    np.testing.assert_array_equal(pair.first.time, pair.second.time)
    with pytest.raises(DataUnavailable, match="overlap"):
        pair_of_bars(walk("AAPL", 1, 100), walk("MSFT", 2, 100, first_day=80))


def test_a_pair_trades_where_its_legs_do():
    crypto = pair_of_bars(walk("BTCUSDT", 1), walk("ETHUSDT", 2))
    assert venue_of(crypto.bars.symbol) == "crypto"
    assert venue_of("EURUSD~GBPUSD") == "fx"
    assert venue_of("MSFT~IBM") == "us_equity"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (walk("AAPL", 2), "two different symbols"),
        (walk("MSFT", 2, timeframe="1h"), "one timeframe"),
        (walk("BTCUSDT", 2), "one venue"),
        (walk("MSFT", 2, simulated=True), "only simulated ones"),
    ],
)
def test_what_can_be_no_pair_is_refused_with_the_reason(second: Bars, said: str):
    with pytest.raises(InvalidRequest, match=said):
        pair_of_bars(walk("AAPL", 1), second)


def test_a_short_leg_that_loses_everything_is_named():
    with pytest.raises(DataUnavailable, match="loses everything"):
        pair_of_bars(bars("A", [10, 10], [10, 10]), bars("B", [10, 10], [10, 31]))


def test_a_slice_of_a_pair_holds_the_same_bars_of_its_legs():
    pair = pair_of_bars(walk("AAPL", 1), walk("MSFT", 2))
    part = pair.slice(100, 200)
    assert len(part.bars) == 100
    np.testing.assert_array_equal(part.first.close, pair.first.close[100:200])
    assert replace(part.second).date(0) == pair.bars.date(100)
