"""The numbers of a chart: those of the bars and of the backtest, by column."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.agents.series import _candles, _line, _months
from evolve.agents.track_record import record_of_constant
from evolve.cards import Costs
from evolve.market.bars import Bars

DAY_MS = 86_400_000
FREE = Costs(0.0, 0.0)


def bars_of(close: list[float]) -> Bars:
    values = np.array(close)
    return Bars(
        symbol="TINY", timeframe="1d", time=1_600_000_000_000 + DAY_MS * np.arange(len(close)), open=values, high=values,
        low=values, close=values, volume=np.full(len(close), np.nan), source="test", currency="USD", bars_per_year=252.0,
    )  # fmt: skip


def test_candles_are_the_bars_and_unknown_volume_is_none() -> None:
    candles = _candles(bars_of([10.0, 11.123456789]))

    assert candles.time == (1_600_000_000, 1_600_086_400)
    assert candles.close == (10.0, 11.1235)  # six digits
    assert candles.volume == (None, None)


def test_a_drawdown_is_measured_from_a_peak_before_the_stretch_shown() -> None:
    bars = bars_of([10.0, 10.0, 20.0, 10.0, 15.0])
    held = record_of_constant("buy and hold", 1.0, 0, bars, FREE)

    line = _line(held, 3)

    assert line.drawdown == pytest.approx((-0.5, -0.25))


def test_months_compound_to_the_year_and_untested_ones_are_none() -> None:
    time = np.array([1_580_000_000_000, 1_583_000_000_000, 1_583_100_000_000])  # January 2020, twice February or March

    (row,) = _months(np.array([0.10, 0.20, -0.50]), time)

    assert row.year == 2020
    assert row.months[0] == pytest.approx(0.10)
    assert row.months[11] is None
    assert row.whole == pytest.approx(1.1 * 1.2 * 0.5 - 1)
