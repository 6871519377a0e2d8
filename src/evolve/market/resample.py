"""Which longer bars do these bars make up?

Open of the first, highest high, lowest low, close of the last, volume summed. Longer bars are cut where the venue's do:
days by session, weeks on Monday, hours of US stocks at half past (see `calendar`). What a US stock did outside regular
hours belongs to no longer bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import FIELDS, Bars, Floats, Stamps
from evolve.market.calendar import (
    FX_FRIDAY_CLOSE_S,
    INTRADAY_ANCHOR_S,
    SESSION_DATE_SHIFT_S,
    Venue,
    bars_per_year,
    venue_of,
)
from evolve.market.sessions import DAY_MS, FRIDAY, MONDAY_MS, WEEK_MS, closes_of, in_session, is_dated, session_hours
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

NEW_YORK_SHARE = 0.5  # of New York's regular hours: Frankfurt and London fill at most two of the six and a half


@dataclass(frozen=True, slots=True)
class Columns:
    """Time (int64, ms) and the five values (float64) of some bars, all of shape (bars,), unchecked."""

    time: Stamps
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def where(self, kept: NDArray[np.bool_]) -> Columns:
        return Columns(
            self.time[kept], self.open[kept], self.high[kept], self.low[kept], self.close[kept], self.volume[kept]
        )


def joined(parts: Sequence[Columns]) -> Columns:
    """All parts, one after the other."""
    return Columns(
        np.concatenate([part.time for part in parts]),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS),
    )


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
    notes = [*bars.notes, f"{timeframe} bars made from {bars.timeframe} bars"]
    bars = _regular_hours(bars, venue, notes)
    starts = bar_starts(bars.time, timeframe, venue=venue, dated=is_dated(bars.timeframe))
    columns = aggregate(Columns(bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume), starts)
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
    if not is_dated(timeframe):
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


def _regular_hours(bars: Bars, venue: Venue, notes: list[str]) -> Bars:
    """Without what a US stock did before the open and after the close: a day's open is the session's, as sources give it."""
    if venue != "us_equity" or is_dated(bars.timeframe):
        return bars
    length = 1000 * TIMEFRAME_SECONDS[bars.timeframe]
    regular = in_session(venue, bars.time, length_ms=length)
    if regular.all() or not regular.any():
        return bars
    # A stock of another continent, which our symbols cannot tell, trades a part of New York's hours at most: it keeps all bars.
    days = np.unique(bars.time[regular] // DAY_MS) * DAY_MS
    opens, closes = session_hours(venue, days)
    if np.count_nonzero(regular) < NEW_YORK_SHARE * int(np.sum(closes - opens)) / length:
        return bars
    notes.append(f"{np.count_nonzero(~regular):,} bars outside regular trading hours were left out")
    return replace(bars, **{name: getattr(bars, name)[regular] for name in ("time", *FIELDS)})


def _trading_ends(start: int, timeframe: Timeframe, venue: Venue) -> int:
    """By when (ms) trading inside the bar that begins at `start` has ended; for currencies the earliest the season allows."""
    end = int(closes_of(venue, timeframe, np.array([start], dtype=np.int64))[0])
    if venue != "fx":
        return end
    if timeframe == "1w":
        start += FRIDAY * DAY_MS  # a week has ended when its Friday has
    day = start // DAY_MS * DAY_MS
    is_friday = (day - MONDAY_MS) // DAY_MS % 7 == FRIDAY
    return min(end, day + 1000 * FX_FRIDAY_CLOSE_S) if is_friday else end
