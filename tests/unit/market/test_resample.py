"""pandas is the oracle where its rules are ours; the rest is hand arithmetic."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.calendar import bars_per_year
from evolve.market.resample import resample
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource


def stamp(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def bars_at(stamps, *, symbol="BTCUSDT", timeframe="1h", close=None, volume=None):
    close = np.arange(1.0, len(stamps) + 1) if close is None else np.asarray(close, float)
    return Bars(
        symbol=symbol,
        timeframe=timeframe,
        time=[stamp(text) for text in stamps],
        open=close,
        high=close + 0.5,
        low=close - 0.5,
        close=close,
        volume=np.ones(len(stamps)) if volume is None else volume,
        source="test",
        bars_per_year=bars_per_year(symbol, timeframe),
    )


def hours(count, first="2024-01-01T00:00"):
    return [str(np.datetime64(first) + np.timedelta64(60 * n, "m")) for n in range(count)]


def test_a_longer_bar_has_the_first_open_the_extremes_the_last_close_and_the_summed_volume():
    bars = bars_at(hours(4), close=[5, 9, 2, 6], volume=[1, 2, 3, 4])

    long = resample(bars, "4h")

    assert (long.open[0], long.high[0], long.low[0], long.close[0], long.volume[0]) == (5, 9.5, 1.5, 6, 10)
    assert long.timeframe == "4h"
    assert long.bars_per_year == 365 * 6


def test_weekly_bars_of_the_sample_equal_pandas():
    daily = SampleSource().load(BarSpec("AAPL", "1d"))
    index = pd.to_datetime(daily.time, unit="ms")
    oracle = (
        pd.DataFrame({name: getattr(daily, name) for name in ("open", "high", "low", "close", "volume")}, index)
        .resample("W-SUN", label="left", closed="right")
        .agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    )

    weekly = resample(daily, "1w")

    assert weekly.date(0) == "2000-02-28"  # the Monday of Wednesday 2000-03-01's week
    assert weekly.date(-1) == "2013-02-25"  # Friday 2013-03-01 ends it
    assert len(weekly) == len(oracle)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(weekly, name), oracle[name].to_numpy())
    np.testing.assert_allclose(weekly.volume, oracle["volume"].to_numpy(), rtol=1e-12)


def test_a_last_bar_that_has_not_ended_is_left_out_and_said_so():
    long = resample(bars_at(hours(6)), "4h")

    assert len(long) == 1
    assert any("unfinished last 4h bar" in note for note in long.notes)


def test_a_last_bar_that_has_just_ended_is_kept():
    long = resample(bars_at(hours(8)), "4h")

    assert len(long) == 2
    assert not any("unfinished" in note for note in long.notes)


def test_a_stocks_week_has_ended_on_friday_and_not_on_thursday():
    days = ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12"]

    assert len(resample(bars_at(days, symbol="AAPL", timeframe="1d"), "1w")) == 1
    with pytest.raises(DataUnavailable, match="do not fill one 1w bar"):
        resample(bars_at(days[:4], symbol="AAPL", timeframe="1d"), "1w")


def test_a_crypto_week_ends_on_sunday():
    days = [f"2024-01-{day:02d}" for day in range(8, 15)]

    assert len(resample(bars_at(days, timeframe="1d"), "1w")) == 1
    with pytest.raises(DataUnavailable):
        resample(bars_at(days[:6], timeframe="1d"), "1w")


def test_a_stocks_hours_after_midnight_utc_belong_to_the_session_before():
    """19:30 New York on Friday 2024-01-05 is 00:30 UTC on Saturday."""
    bars = bars_at(["2024-01-05T14:30", "2024-01-05T20:30", "2024-01-06T00:30"], symbol="AAPL", timeframe="30m")

    daily = resample(bars, "1d")

    assert [daily.date(bar) for bar in range(len(daily))] == ["2024-01-05"]
    assert daily.close[0] == 3


@pytest.mark.parametrize(("opening", "season"), [("2024-07-01T13:30", "summer"), ("2024-01-02T14:30", "winter")])
def test_a_stock_session_has_seven_hours_and_two_four_hour_bars_in_summer_and_winter(opening, season):
    minutes = [str(np.datetime64(opening) + np.timedelta64(30 * n, "m")) for n in range(13)]
    bars = bars_at(minutes, symbol="AAPL", timeframe="30m")

    assert len(resample(bars, "1h")) == 7
    assert len(resample(bars, "4h")) == 2


def test_detail_is_never_invented():
    with pytest.raises(InvalidRequest, match="1h bars cannot be made from 1d bars"):
        resample(bars_at(["2024-01-08"], timeframe="1d"), "1h")


def test_an_unknown_volume_stays_unknown():
    long = resample(bars_at(hours(8), volume=[1, np.nan, 1, 1, 1, 1, 1, 1]), "4h")

    assert np.isnan(long.volume[0])
    assert long.volume[1] == 4


@given(st.integers(0, 2**32 - 1))
def test_two_steps_make_the_same_bars_as_one(seed):
    random = np.random.default_rng(seed)
    kept = np.flatnonzero(random.random(24 * 30) < 0.7)
    stamps = np.array(hours(24 * 30))[kept]
    bars = bars_at(stamps, close=random.uniform(1, 2, len(kept)), volume=random.integers(0, 9, len(kept)))

    one, two = resample(bars, "1d"), resample(resample(bars, "4h"), "1d")

    shorter = min(len(one), len(two))  # the last day may be complete in hours and not in its last four hours
    assert len(one) - shorter <= 1
    for name in ("time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(one, name)[:shorter], getattr(two, name)[:shorter])
