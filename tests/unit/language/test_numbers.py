"""Expected days are those of the labelling rules: month 30, quarter 90, year 365, twelve months 365, hours round up."""

from __future__ import annotations

import pytest

from evolve.language.parse import parse


def period(text: str) -> int | None:
    return parse(f"Analyze AAPL {text}").period_days


def timeframe(text: str) -> str | None:
    return parse(f"Analyze AAPL {text}").timeframe


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("90d", 90), ("over 2w", 14), ("last 6 months", 180), ("over 12 months", 365), ("over 15 months", 450),
        ("last 24h", 1), ("past 25 hours", 2), ("over eight weeks", 56), ("over a fortnight", 14), ("over a decade", 3650),
        ("half a year", 180), ("over a year and a half", 545), ("for a couple of weeks", 14), ("twenty-one days", 21),
        ("tomorrow", 1), ("yesterday", 1), ("this week", 7), ("next month", 30), ("last quarter", 90), ("this year", 365),
        ("in 3 days", 3), ("1y", 365), ("6M", 180), ("over 1,000 days", 1000), ("last 1.5 years", 545),
        ("en los últimos 30 días", 30), ("este mes", 30), ("en den letzten drei Monaten", 90), ("diese Woche", 7),
        ("sur six mois", 180), ("cette semaine", 7), ("le mois dernier", 30), ("最近90天", 90), ("半年", 180), ("未来两周", 14),
        ("过去三个月", 90), ("今年", 365),
    ],
)  # fmt: skip
def test_a_stretch_of_time_is_counted_in_days(text: str, days: int):
    assert period(text) == days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("from 2023-01-01 to 2024-01-01", 365), ("between Jan 1 2024 and Mar 31 2024", 90), ("from 2018 to 2020", 730),
        ("from 01/01/2023 to 01/31/2023", 30), ("vom 1.1.2023 bis 31.1.2023", 30), ("from 1 March to 31 March 2023", 30),
        ("2023年1月1日到2023年6月30日", 180),
    ],
)  # fmt: skip
def test_a_date_range_is_end_minus_start(text: str, days: int):
    assert period(text) == days


@pytest.mark.parametrize(
    "text",
    ["200-day moving average", "14-period RSI", "52-week high", "short-term", "lately", "right now", "every week", "once a day",
     "20日均线", "year to date", "day trading", "from 2024-05-01 to 2023-05-01", "9999999999 years"],
)  # fmt: skip
def test_what_is_no_window_is_no_period(text: str):
    assert period(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1h", "1h"), ("on 15 minute bars", "15m"), ("4-hour candles", "4h"), ("hourly", "1h"), ("on the daily", "1d"),
        ("weekly bars", "1w"), ("1d chart", "1d"), ("at 30m", "30m"), ("H4", "4h"), ("60-minute candles", "1h"),
        ("one-hour chart", "1h"), ("en velas de 4 horas", "4h"), ("velas diarias", "1d"), ("auf Tagesbasis", "1d"),
        ("4-Stunden-Kerzen", "4h"), ("bougies de 15 minutes", "15m"), ("日线", "1d"), ("15分钟K线", "15m"), ("小时线", "1h"),
    ],
)  # fmt: skip
def test_a_bar_size_is_read(text: str, size: str):
    assert timeframe(text) == size


@pytest.mark.parametrize(
    "text", ["weekly report", "daily returns table", "last 24h", "every 4 hours", "2h candles", "90d", "in 4 hours"]
)
def test_what_is_no_bar_size_is_no_timeframe(text: str):
    assert timeframe(text) is None


def test_daily_right_behind_a_symbol_is_a_bar_size():
    assert parse("train arima on eurusd daily").timeframe == "1d"


def test_a_refresh_is_no_bar_size():
    assert parse("retrain my bitcoin model daily").timeframe is None


def test_the_training_window_wins_over_the_horizon():
    assert parse("train an lstm on AAPL with 2 years of data to predict the next 5 days").period_days == 730


def test_trials_and_references_are_no_time():
    frame = parse("run 50 trials for the lstm on AAPL with 5 references")

    assert (frame.timeframe, frame.period_days) == (None, None)
