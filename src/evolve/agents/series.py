"""Which numbers does a chart of this source draw? A model on its bars as columns, or a symbol's bars alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evolve.agents.pictures import fan_of
from evolve.agents.plot_sources import PlotSources, Tested
from evolve.agents.track_record import TrackRecord
from evolve.charts.forecast_fan import BANDS
from evolve.charts.tables import monthly
from evolve.errors import InvalidRequest
from evolve.market.bars import Bars, Floats, Stamps
from evolve.series import Band, Candles, ChartSeries, Decision, EquityLine, ForecastFan, MonthsOfYear

DIGITS = 6
FAN_BARS = 250  # a year of days: more bands than that hide the bars


def series_of(
    sources: PlotSources, data_source: str, *, timeframe: str | None, simulate: bool, last_bars: int
) -> ChartSeries:
    """What there is to draw. Raises InvalidRequest for a source that is not one model or one symbol, DataUnavailable as `tested` does."""
    found = sources.find(data_source)
    if found.kind == "models":
        return _of_model(sources.tested(found.ids[0]), last_bars)
    if len(found.ids) > 1:
        raise InvalidRequest(f"series are of one model or one symbol, not of {len(found.ids)}; ask for each by itself")
    bars = _last(sources.bars(found.ids[0], timeframe, simulate=simulate or found.simulate), last_bars)
    return ChartSeries(
        bars.symbol, bars.symbol, bars.timeframe, bars.source, bars.currency, bars.simulated, _candles(bars)
    )


def _of_model(tested: Tested, last_bars: int) -> ChartSeries:
    bars, record = tested.bars, tested.record
    first = max(0, len(bars) - last_bars)
    start = max(record.start, first)
    return ChartSeries(
        about=tested.card.model_id,
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        source=bars.source,
        currency=bars.currency,
        simulated=bars.simulated,
        candles=_candles(_last(bars, last_bars)),
        decisions=_decisions(record, bars.time, first),
        fan=_fan(tested),
        tested=_seconds(bars.time[start:]),
        lines=tuple(_line(each, start) for each in (record, tested.hold)),
        months=_months(tested.returns, tested.time),
    )


def _last(bars: Bars, count: int) -> Bars:
    return bars if len(bars) <= count else bars.slice(len(bars) - count, len(bars))


def _candles(bars: Bars) -> Candles:
    volume = tuple(None if value != value else float(value) for value in bars.volume)
    prices = (_rounded(bars.open), _rounded(bars.high), _rounded(bars.low), _rounded(bars.close))
    return Candles(_seconds(bars.time), *prices, volume)


def _decisions(record: TrackRecord, time: Stamps, first: int) -> tuple[Decision, ...]:
    change = np.diff(np.sign(record.backtest.quantity), prepend=0.0)
    turns = [bar for bar in np.flatnonzero(change) if bar >= first]
    return tuple(Decision(int(time[bar]) // 1000, "buy" if change[bar] > 0 else "sell") for bar in turns)


def _fan(tested: Tested) -> ForecastFan:
    fan = fan_of(tested, FAN_BARS)
    bands = []
    for level, z in BANDS:
        low, high = fan.band(z)
        bands.append(Band(level, _rounded(low), _rounded(high)))
    return ForecastFan(_seconds(fan.time), _rounded(fan.centre), tuple(bands), fan.horizon_bars)


def _line(record: TrackRecord, start: int) -> EquityLine:
    # The account before the stretch shown still counts for its peak: a drawdown does not begin anew where a chart does.
    equity = record.backtest.equity[record.start :] / record.backtest.equity[record.start]
    drawdown = equity / np.maximum.accumulate(equity) - 1
    shown = start - record.start
    return EquityLine(record.name, record.kind, _rounded(equity[shown:]), _rounded(drawdown[shown:]))


def _months(returns: Floats, time: Stamps) -> tuple[MonthsOfYear, ...]:
    table = monthly(returns, time)
    return tuple(
        MonthsOfYear(
            year,
            tuple(months.get(month) for month in range(1, 13)),
            float(np.prod([1 + value for value in months.values()]) - 1),
        )
        for year, months in sorted(table.items())
    )


def _seconds(time: Stamps) -> tuple[int, ...]:
    return tuple(int(stamp) // 1000 for stamp in time)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
