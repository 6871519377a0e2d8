"""The laws that simulated bars must keep, and the facts of real markets that they must show."""

import numpy as np
import pytest

from evolve.errors import DataUnavailable
from evolve.market.calendar import bars_per_year
from evolve.market.resample import resample
from evolve.market.sources import simulated
from evolve.market.sources.base import BarSpec
from evolve.market.sources.simulated import SimulatedSource
from evolve.market.types import TIMEFRAME_SECONDS, TIMEFRAMES

FIELDS = ("time", "open", "high", "low", "close", "volume")


def load(symbol, timeframe="1d"):
    return SimulatedSource().load(BarSpec(symbol, timeframe))


def returns_of(symbol):
    return np.diff(np.log(load(symbol).close))


def correlation(ahead, behind, lag):
    return np.corrcoef(ahead[:-lag], behind[lag:])[0, 1]


def test_simulated_bars_are_marked_everywhere():
    bars = load("NVDA")

    assert bars.simulated
    assert bars.source == "SIMULATED"
    assert bars.notes[0].startswith("SIMULATED")


def test_the_same_symbol_gives_the_same_bars_after_the_cache_is_gone():
    before = load("NVDA").fingerprint
    simulated._kept.cache_clear()
    assert load("NVDA").fingerprint == before


def test_another_symbol_gives_other_bars():
    assert not np.array_equal(load("NVDA").close, load("TSLA").close)


@pytest.mark.parametrize("symbol", ["NVDA", "BTCUSDT"])
@pytest.mark.parametrize("timeframe", ["5m", "30m", "1h", "4h", "1d", "1w"])
def test_a_bar_equals_the_aggregate_of_its_own_finer_bars(symbol, timeframe):
    finer = TIMEFRAMES[TIMEFRAMES.index(timeframe) - 1]
    coarse, made = load(symbol, timeframe), resample(load(symbol, finer), timeframe)
    start = int(np.searchsorted(coarse.time, made.time[0]))

    assert len(made) > 10
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(coarse, name)[start:], getattr(made, name))


def test_one_minute_bars_make_the_last_daily_bars():
    daily, made = load("NVDA"), resample(load("NVDA", "1m"), "1d")

    np.testing.assert_array_equal(daily.close[-len(made) :], made.close)
    np.testing.assert_array_equal(daily.high[-len(made) :], made.high)


@pytest.mark.parametrize("symbol", ["NVDA", "BTCUSDT"])
def test_a_year_holds_as_many_bars_as_the_calendar_says(symbol):
    for timeframe in ("1h", "1d"):
        bars = load(symbol, timeframe)
        years = (bars.time[-1] - bars.time[0]) / 1000 / 86_400 / 365.25
        assert len(bars) / years == pytest.approx(bars_per_year(symbol, timeframe), rel=0.01)


def test_prices_begin_at_an_artificial_hundred():
    assert load("BTCUSDT").open[0] == 100
    assert load("NVDA").open[0] == pytest.approx(100, rel=0.1)  # after its first night


def test_stocks_are_shut_at_night_and_on_weekends_and_crypto_never():
    stock, crypto = load("NVDA", "1h"), load("BTCUSDT", "1h")

    assert set((stock.time // 1000 % 86_400) // 3600) == {13, 14, 15, 16, 17, 18, 19, 20}  # summer and winter
    assert (stock.time // 86_400_000 + 3).max() % 7 < 5
    assert set(np.diff(crypto.time)) == {1000 * TIMEFRAME_SECONDS["1h"]}


def test_crypto_opens_where_it_closed_and_stocks_gap_overnight():
    stock, crypto = load("NVDA"), load("BTCUSDT")

    np.testing.assert_array_equal(crypto.open[1:], crypto.close[:-1])
    assert np.abs(np.log(stock.open[1:] / stock.close[:-1])).mean() > 0.002


@pytest.mark.parametrize("symbol", ["NVDA", "TSLA", "AMZN", "BTCUSDT", "ETHUSDT"])
def test_daily_returns_show_the_facts_of_real_markets(symbol):
    """Bands around AAPL, MSFT, GOOG and IBM 2000–2013: kurtosis 10–12 (AAPL 109), |r| at lag 1 0.17–0.26, mean of lags 1–20 0.1–0.2."""
    returns = returns_of(symbol)
    size = np.abs(returns)
    centred = returns - returns.mean()

    assert 4 < (centred**4).mean() / (centred**2).mean() ** 2 < 40  # fat tails
    assert abs(correlation(returns, returns, 1)) < 0.06  # returns cannot be foreseen; 2.7 standard errors
    assert correlation(size, size, 1) > 0.08  # volatility can
    assert np.mean([correlation(size, size, lag) for lag in range(1, 21)]) > 0.05


def test_volatility_rises_when_a_stock_falls():
    effect = [
        np.mean([correlation(returns_of(s), np.abs(returns_of(s)), lag) for lag in range(1, 11)])
        for s in ("NVDA", "TSLA", "AMZN")
    ]

    assert max(effect) < 0


def test_fine_bars_exist_for_the_last_quarter_and_coarse_ones_for_years():
    assert load("BTCUSDT", "1m").date(0) == "2024-09-30T00:00Z"
    assert load("BTCUSDT", "1h").date(0) == "2017-01-02T00:00Z"
    assert load("BTCUSDT", "1h").date(-1) == "2024-12-29T23:00Z"


def test_an_unknown_timeframe_is_unavailable():
    with pytest.raises(DataUnavailable, match="2h"):
        load("NVDA", "2h")
