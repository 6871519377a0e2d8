"""Sessions of the venues. Expected days and hours: NYSE's published calendars, and the sessions that real bars show."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.market.calendar import VENUES, bars_per_year
from evolve.market.sessions import (
    DAY_MS,
    MINUTE_MS,
    closes_of,
    easter,
    expected_starts,
    in_session,
    session_days,
    session_hours,
)
from evolve.market.sources.base import BarSpec
from evolve.market.sources.sample import SampleSource
from evolve.market.types import TIMEFRAME_SECONDS, TIMEFRAMES


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def dates(days):
    return [str(np.datetime64(int(day), "ms"))[:10] for day in days]


def closed_in(year, venue="us_equity"):
    """Weekdays of a year without a session."""
    open_days = set(dates(session_days(venue, ms(f"{year}-01-01"), ms(f"{year + 1}-01-01"))))
    weekdays = [date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())]
    return [day.isoformat() for day in weekdays if day.weekday() < 5 and day.isoformat() not in open_days]


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "IBM", "GOOG"])
def test_new_yorks_sessions_are_those_that_real_bars_show(symbol):
    """3,270 sessions of 2000 to 2013: mourning in September 2001, the storm of 2012 and two funerals among what is missing."""
    bars = SampleSource().load(BarSpec(symbol, "1d"))
    assert session_days("us_equity", int(bars.time[0]), int(bars.time[-1]) + 1).tolist() == bars.time.tolist()


@pytest.mark.parametrize(
    ("year", "closed"),
    [
        (
            2022,
            ["01-17", "02-21", "04-15", "05-30", "06-20", "07-04", "09-05", "11-24", "12-26"],
        ),  # no New Year's: a Saturday
        (2024, ["01-01", "01-15", "02-19", "03-29", "05-27", "06-19", "07-04", "09-02", "11-28", "12-25"]),
        (2025, ["01-01", "01-09", "01-20", "02-17", "04-18", "05-26", "06-19", "07-04", "09-01", "11-27", "12-25"]),
        (2027, ["01-01", "01-18", "02-15", "03-26", "05-31", "06-18", "07-05", "09-06", "11-25", "12-24"]),
    ],
)
def test_new_yorks_holidays_are_those_it_publishes(year, closed):
    assert closed_in(year) == [f"{year}-{day}" for day in closed]


@pytest.mark.parametrize(
    ("year", "short"),
    [
        (2019, ["07-03", "11-29", "12-24"]),
        (2021, ["11-26"]),
        (2023, ["07-03", "11-24"]),
        (2024, ["07-03", "11-29", "12-24"]),
        (2025, ["07-03", "11-28", "12-24"]),
        (2002, ["07-05", "11-29", "12-24"]),
        (2003, ["07-03", "11-28", "12-24", "12-26"]),
    ],
)
def test_new_yorks_half_days_end_at_one(year, short):
    days = session_days("us_equity", ms(f"{year}-01-01"), ms(f"{year + 1}-01-01"))
    opens, closes = session_hours("us_equity", days)

    assert dates(days[closes - opens < 390 * MINUTE_MS]) == [f"{year}-{day}" for day in short]
    assert set((closes - opens) // MINUTE_MS) == {210, 390}


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        ("2024-03-08", "14:30"), ("2024-03-11", "13:30"), ("2024-11-01", "13:30"), ("2024-11-04", "14:30"),
        ("2006-03-31", "14:30"), ("2006-04-03", "13:30"), ("2006-10-27", "13:30"), ("2006-10-30", "14:30"),
    ],
)  # fmt: skip
def test_new_york_opens_at_half_past_nine_its_own_time(day, hour):
    opens, _ = session_hours("us_equity", np.array([ms(day)]))
    assert opens[0] == ms(f"{day}T{hour}")


def test_easter_is_where_the_almanac_puts_it():
    assert [easter(year).isoformat() for year in (1990, 2000, 2011, 2024, 2038)] == [
        "1990-04-15", "2000-04-23", "2011-04-24", "2024-03-31", "2038-04-25",
    ]  # fmt: skip


def test_crypto_trades_every_day_and_currencies_on_weekdays():
    assert len(session_days("crypto", ms("2023-01-01"), ms("2024-01-01"))) == 365
    assert closed_in(2023, "fx") == ["2023-12-25"]  # January 1 was a Sunday


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_the_calendar_holds_as_many_bars_as_the_year_is_said_to_have(venue, timeframe):
    """Half days and holidays move a single year by half a percent, and currencies' Friday ends three hours early."""
    first = "2023-01-09" if timeframe in ("1m", "5m") else "2014-01-06"
    years = (ms("2024-01-08") - ms(first)) / DAY_MS / 365.25
    count = len(expected_starts(venue, timeframe, ms(first), ms("2024-01-08")))
    assert count / years == pytest.approx(bars_per_year(venue, timeframe), rel=0.03 if venue == "fx" else 0.012)


moments = st.integers(ms("1995-01-01"), ms("2027-01-01"))


@given(start=moments, days=st.integers(1, 40), venue=st.sampled_from(VENUES), timeframe=st.sampled_from(TIMEFRAMES[2:]))
def test_expected_bars_lie_in_the_span_in_order_and_end_before_the_next_begins(start, days, venue, timeframe):
    end = start + days * DAY_MS
    found = expected_starts(venue, timeframe, start, end)
    closes = closes_of(venue, timeframe, found)

    assert np.all(np.diff(found) > 0)
    if timeframe != "1w":  # a week may begin before the span that holds its sessions
        assert np.all((found >= start) & (found < end))
    assert np.all(closes > found)
    assert np.all(closes <= found + 1000 * TIMEFRAME_SECONDS[timeframe])
    assert np.all(closes[:-1] <= found[1:])
    if TIMEFRAME_SECONDS[timeframe] < 86_400:
        assert in_session(venue, found, length_ms=1000 * TIMEFRAME_SECONDS[timeframe]).all()


@given(start=moments, cut=st.integers(1, 39), venue=st.sampled_from(VENUES), timeframe=st.sampled_from(TIMEFRAMES[2:7]))
def test_two_halves_of_a_span_expect_what_the_whole_does(start, cut, venue, timeframe):
    end, middle = start + 40 * DAY_MS, start + cut * DAY_MS
    halves = [expected_starts(venue, timeframe, start, middle), expected_starts(venue, timeframe, middle, end)]
    assert np.concatenate(halves).tolist() == expected_starts(venue, timeframe, start, end).tolist()


@pytest.mark.parametrize(
    ("timeframe", "start", "close"),
    [
        ("1d", "2024-01-05", "2024-01-05T21:00"),
        ("1d", "2024-07-05", "2024-07-05T20:00"),
        ("1d", "2023-11-24", "2023-11-24T18:00"),  # the half day after Thanksgiving
        ("1w", "2024-03-25", "2024-03-28T20:00"),  # Good Friday: the week ends on Thursday
        ("1h", "2024-01-05T20:30", "2024-01-05T21:00"),
        ("4h", "2024-01-05T17:30", "2024-01-05T21:00"),
        ("5m", "2024-01-05T14:30", "2024-01-05T14:35"),
    ],
)
def test_a_bar_of_a_stock_is_known_at_the_close_of_trading_in_it(timeframe, start, close):
    assert closes_of("us_equity", timeframe, np.array([ms(start)]))[0] == ms(close)


def test_currencies_rest_from_friday_to_sunday_evening():
    hours = np.array([ms(f"2024-01-{day:02d}T{hour:02d}:30") for day in (5, 6, 7, 8) for hour in (3, 12, 22)])
    # Friday evening is left open: it ends at 21:00 or 22:00 by the season.
    assert in_session("fx", hours).tolist() == [True] * 3 + [False] * 5 + [True] * 4
