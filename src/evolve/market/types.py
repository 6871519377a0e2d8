"""Symbol, timeframe, period: the words in which a user says which bars. Light: imports no array library."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

Timeframe = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]
TIMEFRAMES: tuple[Timeframe, ...] = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
TIMEFRAME_SECONDS: dict[str, int] = {
    "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400, "1w": 604_800,
}  # fmt: skip

# The symbols, timeframes, periods and models that the specification names.
SPECIFIED_SYMBOLS = ("BTCUSDT", "ETHUSDT", "NVDA", "TSLA", "AAPL", "GOOGL", "MSFT", "AMZN")
SPECIFIED_TIMEFRAMES: tuple[Timeframe, ...] = ("1m", "5m", "15m", "1h", "4h", "1d")
SPECIFIED_PERIODS = ("7d", "14d", "30d", "90d", "180d", "1y")

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,19}")
_PAIR = re.compile(r"[A-Z0-9]{2,10}/[A-Z]{3,5}")
_PERIOD = re.compile(r"([1-9][0-9]{0,4})([dwmy])")
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


def parse_symbol(text: str) -> str:
    """The canonical symbol: upper case, the `/` of a pair dropped. Raises ValueError for what cannot be one."""
    symbol = text.strip().upper()
    if _PAIR.fullmatch(symbol):
        symbol = symbol.replace("/", "")
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(f"{text!r} is not a symbol: letters, digits, '.' and '-', at most 20, such as AAPL or BTCUSDT")
    return symbol


def period_days(period: str) -> int:
    """Days in `90d`, `2w` (14), `3m` (90), `1y` (365). Raises ValueError otherwise."""
    match = _PERIOD.fullmatch(period.strip().lower())
    if not match:
        raise ValueError(f"{period!r} is not a period: a whole number and d, w, m or y, such as 90d or 1y")
    return int(match[1]) * _DAYS[match[2]]


def canonical_period(period: str) -> str:
    """`<n>d`, except that 365 days show as `1y`."""
    days = period_days(period)
    return "1y" if days == 365 else f"{days}d"


Symbol = Annotated[str, BeforeValidator(lambda value: value if not isinstance(value, str) else parse_symbol(value))]
Period = Annotated[str, AfterValidator(canonical_period)]
