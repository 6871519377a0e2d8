"""Which longer bars do these bars make up?

Open of the first, highest high, lowest low, close of the last, volume summed. Longer bars are cut where the venue's do:
days by session, weeks on Monday, hours of US stocks at half past (see `calendar`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import (
    FX_FRIDAY_CLOSE_S,
    INTRADAY_ANCHOR_S,
    SESSION_DATE_SHIFT_S,
    US_EQUITY_CLOSES_S,
    Venue,
    bars_per_year,
    venue_of,
)
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970-01-05; the epoch was a Thursday
FRIDAY = 4


@dataclass(frozen=True, slots=True)
class Columns:
    """Time (int64, ms) and the five values (float64) of some bars, all of shape (bars,), unchecked."""

    time: Stamps
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def resample(bars: Bars, timeframe: Timeframe) -> Bars:
    """The bars of `timeframe` that `bars` make up; a last one that had not ended yet is left out, and `notes` say so.

    Raises InvalidRequest when `timeframe` is finer than the bars (detail is never invented) and DataUnavailable when
    not one longer bar is complete.
    """
    if timeframe == bars.timeframe:
        return bars
    if TIMEFRAME_SECONDS[timeframe] < TIMEFRAME_SECONDS[bars.timeframe]:
        raise InvalidRequest(
            f"{bars.symbol}: {timeframe} bars cannot be made from {bars.timeframe} bars; import {timeframe} bars"
        )
    venue = venue_of(bars.symbol)
    starts = bar_starts(bars.time, timeframe, venue=venue, dated=_is_dated(bars.timeframe))
    columns = aggregate(Columns(bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume), starts)
    notes = [*bars.notes, f"{timeframe} bars made from {bars.timeframe} bars"]
    bars_end = int(bars.time[-1]) + 1000 * TIMEFRAME_SECONDS[bars.timeframe]
    kept = len(columns.time)
    if bars_end < _trading_ends(int(columns.time[-1]), timeframe, venue):
        kept -= 1
        notes.append(f"the unfinished last {timeframe} bar was left out")
    if kept == 0:
        raise DataUnavailable(
            f"{bars.symbol}: {len(bars)} bars at {bars.timeframe} do not fill one {timeframe} bar; import more"
        )
    return replace(
        bars,
        timeframe=timeframe,
        time=columns.time[:kept],
        open=columns.open[:kept],
        high=columns.high[:kept],
        low=columns.low[:kept],
        close=columns.close[:kept],
        volume=columns.volume[:kept],
        bars_per_year=bars_per_year(venue, timeframe),
        notes=tuple(notes),
    )


def bar_starts(time: Stamps, timeframe: Timeframe, *, venue: Venue, dated: bool) -> Stamps:
    """The start (Unix ms) of the `timeframe` bar that each stamp lies in; shape (bars,).

    dated: the stamps are midnights that stand for a session's date (daily bars and longer), not moments.
    """
    if not _is_dated(timeframe):
        length, anchor = 1000 * TIMEFRAME_SECONDS[timeframe], 1000 * INTRADAY_ANCHOR_S[venue]
        return (time - anchor) // length * length + anchor
    moments = time if dated else time - 1000 * SESSION_DATE_SHIFT_S[venue]
    length, anchor = (WEEK_MS, MONDAY_MS) if timeframe == "1w" else (DAY_MS, 0)
    return (moments - anchor) // length * length + anchor


def aggregate(columns: Columns, starts: Stamps) -> Columns:
    """One bar per run of equal `starts`. A bar with one unknown volume (NaN) has an unknown volume."""
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    last = np.append(first[1:], len(starts)) - 1
    return Columns(
        time=starts[first],
        open=columns.open[first],
        high=np.maximum.reduceat(columns.high, first),
        low=np.minimum.reduceat(columns.low, first),
        close=columns.close[last],
        volume=np.add.reduceat(columns.volume, first),
    )


def _is_dated(timeframe: Timeframe) -> bool:
    return TIMEFRAME_SECONDS[timeframe] >= 86_400


def _trading_ends(start: int, timeframe: Timeframe, venue: Venue) -> int:
    """By when (ms) trading inside the bar that begins at `start` has ended; the earliest the season allows."""
    end = start + 1000 * TIMEFRAME_SECONDS[timeframe]
    if venue == "crypto":
        return end
    if timeframe == "1w":
        start += FRIDAY * DAY_MS  # a week has ended when its Friday has
    day = start // DAY_MS * DAY_MS
    if venue == "us_equity":
        closes = [day + 1000 * seconds for seconds in US_EQUITY_CLOSES_S]
        return min(end, next((close for close in closes if start < close), end))
    is_friday = (day - MONDAY_MS) // DAY_MS % 7 == FRIDAY
    return min(end, day + 1000 * FX_FRIDAY_CLOSE_S) if is_friday else end
