"""On which days and between which hours does a venue trade?

New York's holidays and half days follow rules, kept here from 1990 on together with the closures nobody could foresee; tests
hold them against sessions that took place. Summer time is computed from its rules too: no time-zone table has to be installed.
Days are midnights UTC of the session's date, in Unix milliseconds, as daily bars are stamped.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evolve.market.calendar import INTRADAY_ANCHOR_S, SESSION_MINUTES, Venue
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

Stamps = NDArray[np.int64]

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970-01-05; the epoch was a Thursday
MINUTE_MS = 60_000
FIRST_YEAR = 1990  # before it, the rules of half days and of days of mourning differ too often to be called rules

MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6
HALF_DAY_MINUTES = 210  # 09:30 to 13:00 New York
FX_STOPS_MINUTE = 21 * 60  # of Friday, in summer; an hour later in winter
US_OPEN_MINUTE_WINTER = 14 * 60 + 30  # 09:30 New York in UTC; an hour earlier in summer time

# Days on which New York stayed shut, and half days, that no rule gives. Source: NYSE, "Holidays & Trading Hours" and its
# list of special closings.
_MOURNING_AND_STORMS = frozenset(
    date.fromisoformat(day)
    for day in (
        "1994-04-27", "2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14", "2004-06-11",
        "2007-01-02", "2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09",
    )
)  # fmt: skip

_EXTRA_HALF_DAYS = frozenset(date.fromisoformat(day) for day in ("1997-12-26", "1999-12-31", "2003-12-26"))


def session_days(venue: Venue, start: int, end: int) -> Stamps:
    """Midnights (ms) of the venue's sessions whose date lies in start … end (ms, exclusive), oldest first."""
    first, last = start // DAY_MS + (start % DAY_MS > 0), (end - 1) // DAY_MS
    days = np.arange(first, last + 1, dtype=np.int64)
    if venue == "crypto" or not len(days):
        return days * DAY_MS
    days = days[(days + 3) % 7 < SATURDAY]  # 1970-01-01 was a Thursday
    if not len(days):
        return days * DAY_MS
    holidays = _holidays(venue, _year(int(days[0])), _year(int(days[-1])))
    return days[~np.isin(days, holidays)] * DAY_MS


def session_hours(venue: Venue, days: Stamps) -> tuple[Stamps, Stamps]:
    """When each of these sessions opens and closes (ms UTC), half days and summer time included; both of shape (days,)."""
    if venue != "us_equity":
        # Currencies trade from Sunday to Friday evening without a break; by date they have whole days.
        return days, days + SESSION_MINUTES[venue] * MINUTE_MS
    if not len(days):
        return days, days
    first, last = _year(int(days[0] // DAY_MS)), _year(int(days[-1] // DAY_MS))
    summer = np.zeros(len(days), dtype=bool)
    for year in range(first, last + 1):
        begins, ends = _summer_time(year)
        summer |= (days >= begins * DAY_MS) & (days < ends * DAY_MS)
    minutes = np.where(summer, US_OPEN_MINUTE_WINTER - 60, US_OPEN_MINUTE_WINTER)
    lengths = np.where(np.isin(days // DAY_MS, _half_days(first, last)), HALF_DAY_MINUTES, SESSION_MINUTES[venue])
    opens = days + minutes * MINUTE_MS
    return opens, opens + lengths * MINUTE_MS


def expected_starts(venue: Venue, timeframe: Timeframe, start: int, end: int) -> Stamps:
    """Starts (ms) of the bars that the venue's hours fill, in start … end (ms, exclusive); what a complete set of bars holds.

    Weeks count when a session of theirs lies in the span. Bars are cut as `resample` cuts them.
    """
    length = 1000 * TIMEFRAME_SECONDS[timeframe]
    if length >= DAY_MS:
        days = session_days(venue, start, end)
        return days if timeframe == "1d" else np.unique((days - MONDAY_MS) // WEEK_MS * WEEK_MS + MONDAY_MS)
    # A day earlier: the session's date and the moment's may differ where bars begin before midnight.
    opens, closes = session_hours(venue, session_days(venue, start - DAY_MS, end + DAY_MS))
    if not len(opens):
        return opens
    step = min(length, 30 * MINUTE_MS)  # every session is whole half hours; longer bars are cut from these
    counts = (closes - opens) // step
    offsets = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    moments = np.repeat(opens, counts) + offsets * step
    if venue == "fx":
        late = ((moments // DAY_MS + 3) % 7 == FRIDAY) & (moments % DAY_MS >= FX_STOPS_MINUTE * MINUTE_MS)
        moments = moments[~late]
    anchor = 1000 * INTRADAY_ANCHOR_S[venue]
    starts = np.unique((moments - anchor) // length * length + anchor)
    return starts[(starts >= start) & (starts < end)]


def in_session(venue: Venue, moments: Stamps, *, length_ms: int = 0) -> NDArray[np.bool_]:
    """Which moments (ms, sorted) lie in regular hours; shape (moments,). length_ms: a bar that reaches into them counts."""
    if venue == "crypto" or not len(moments):
        return np.ones(len(moments), dtype=bool)
    if venue == "fx":
        # Sunday evening to Friday evening: 17:00 New York, which is 21:00 UTC in summer and 22:00 in winter. Friday's last
        # hours are left open here and expected of nobody.
        weekday, minute = (moments // DAY_MS + 3) % 7, moments % DAY_MS // MINUTE_MS
        trading: NDArray[np.bool_] = ~((weekday == SATURDAY) | ((weekday == SUNDAY) & (minute < FX_STOPS_MINUTE)))
        return trading
    opens, closes = session_hours(venue, session_days(venue, int(moments[0]) - DAY_MS, int(moments[-1]) + 2 * DAY_MS))
    if not len(opens):
        return np.zeros(len(moments), dtype=bool)
    # The first session that has not ended by the bar's start …
    nearest = np.searchsorted(closes, moments, side="right")
    found = nearest < len(closes)
    opening = opens[np.minimum(nearest, len(opens) - 1)]
    # … contains it, or begins inside it.
    return found & ((opening <= moments) | (opening < moments + length_ms))


def closes_of(venue: Venue, timeframe: Timeframe, starts: Stamps) -> Stamps:
    """When bars that begin at `starts` (ms) are complete: the close of trading inside them; shape (starts,)."""
    length = 1000 * TIMEFRAME_SECONDS[timeframe]
    if not len(starts):
        return starts
    if length < DAY_MS:
        if venue != "us_equity":
            return starts + length
        _, closes = session_hours(
            venue, session_days(venue, int(starts[0]) - DAY_MS, int(starts[-1]) + DAY_MS + length)
        )
        if not len(closes):
            return starts + length
        nearest = closes[np.minimum(np.searchsorted(closes, starts, side="right"), len(closes) - 1)]
        return np.where((nearest > starts) & (nearest < starts + length), nearest, starts + length)
    if timeframe == "1d":
        return session_hours(venue, starts)[1]
    days = session_days(venue, int(starts[0]), int(starts[-1]) + WEEK_MS)
    if not len(days):
        return starts + length
    _, closes = session_hours(venue, days)
    last = np.searchsorted(days, starts + WEEK_MS) - 1
    ends = closes[np.maximum(last, 0)]
    return np.where((last >= 0) & (ends > starts), ends, starts + length)


def is_dated(timeframe: Timeframe) -> bool:
    """Whether bars carry a session's date (daily and longer) rather than a moment."""
    return TIMEFRAME_SECONDS[timeframe] >= DAY_MS // 1000


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=64)
def _holidays(venue: Venue, first: int, last: int) -> Stamps:
    """Days (since 1970) in these years on which the venue does not trade though it is no weekend."""
    found: set[date] = set()
    for year in range(first, last + 1):
        if venue == "fx":
            found |= {date(year, 1, 1), date(year, 12, 25)}
        else:
            found |= _us_holidays(year)
    return np.array(sorted(map(_day, found)), dtype=np.int64)


def _us_holidays(year: int) -> set[date]:
    """New York's full closures of a year."""
    found = {
        _nth(year, 2, MONDAY, 3),  # Washington's Birthday
        easter(year) - timedelta(days=2),  # Good Friday
        _last(year, 5, MONDAY),  # Memorial Day
        _observed(date(year, 7, 4)),
        _nth(year, 9, MONDAY, 1),  # Labor Day
        _nth(year, 11, THURSDAY, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    # A New Year's Day on a Saturday is not made up for: Friday closes the books of the old year.
    if new_year.weekday() != SATURDAY:
        found.add(_observed(new_year))
    if year >= 1998:
        found.add(_nth(year, 1, MONDAY, 3))  # Martin Luther King Day
    if year >= 2022:
        found.add(_observed(date(year, 6, 19)))  # Juneteenth
    return found | {day for day in _MOURNING_AND_STORMS if day.year == year}


@lru_cache(maxsize=64)
def _half_days(first: int, last: int) -> Stamps:
    """Days (since 1970) in these years on which New York closes at 13:00."""
    found: set[date] = set()
    for year in range(first, last + 1):
        holidays = _us_holidays(year)
        if year < 1993:  # it closed at 14:00 then, or not early at all
            continue
        candidates = {
            _nth(year, 11, THURSDAY, 4) + timedelta(days=1),
            *(day for day in _EXTRA_HALF_DAYS if day.year == year),
        }
        eve, independence = date(year, 12, 24), date(year, 7, 4)
        if eve.weekday() != FRIDAY:  # on a Friday it is the holiday itself
            candidates.add(eve)
        if year >= 2013:
            candidates.add(independence - timedelta(days=1))
        elif independence.weekday() == THURSDAY:
            candidates.add(independence + timedelta(days=1))  # until 2012 the Friday after was short instead
        elif independence.weekday() in (1, 2, FRIDAY):
            candidates.add(independence - timedelta(days=1))
        found |= {day for day in candidates if day.weekday() < SATURDAY and day not in holidays}
    return np.array(sorted(map(_day, found)), dtype=np.int64)


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar. Source: the anonymous algorithm in Meeus (1991), Astronomical Algorithms, ch. 8."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (b - (b + 8) // 25 + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=256)
def _summer_time(year: int) -> tuple[int, int]:
    """First day of New York's summer time and first day after it (days since 1970). Source: Energy Policy Act of 2005, § 110."""
    if year >= 2007:
        return _day(_nth(year, 3, SUNDAY, 2)), _day(_nth(year, 11, SUNDAY, 1))
    begins = _nth(year, 4, SUNDAY, 1) if year >= 1987 else _last(year, 4, SUNDAY)
    return _day(begins), _day(_last(year, 10, SUNDAY))


def _observed(holiday: date) -> date:
    """The weekday on which a holiday is kept: Friday for a Saturday, Monday for a Sunday."""
    return holiday + timedelta(days={SATURDAY: -1, SUNDAY: 1}.get(holiday.weekday(), 0))


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _last(year: int, month: int, weekday: int) -> date:
    end = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return end - timedelta(days=(end.weekday() - weekday) % 7)


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _year(days: int) -> int:
    return datetime.fromtimestamp(days * 86_400, UTC).year
