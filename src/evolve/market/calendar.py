"""When does a symbol trade, how many bars is a year, and what does a trade cost there?

The one place that knows a year. Venues are recognised by the shape of the symbol: a crypto pair, a currency pair, else a
US stock. Light: imports no array library.
"""

from __future__ import annotations

import math
from typing import Literal

from evolve.cards import Costs
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

Venue = Literal["crypto", "fx", "us_equity"]
# Between the two symbols of a pair that is held as one instrument (`market.pair`); no symbol of its own has it.
PAIR_SIGN = "~"
VENUES: tuple[Venue, ...] = ("crypto", "fx", "us_equity")

DAY_S = 86_400
SESSIONS_PER_YEAR: dict[Venue, int] = {
    "crypto": 365,  # never closes
    "fx": 260,  # 52 weeks of five days; the few holidays differ per centre and are traded somewhere
    "us_equity": 252,  # 365.25 × 5/7 weekdays less about nine holidays; the mean of NYSE years
}
SESSION_MINUTES: dict[Venue, int] = {"crypto": 1440, "fx": 1440, "us_equity": 390}  # 390: 09:30 to 16:00 New York

# How long a venue is shut in an ordinary year, in days: what may lie between the last bar and now without being stale.
LONGEST_CLOSURE_DAYS: dict[Venue, float] = {
    "crypto": 0.0,
    "fx": 3.0,  # Friday evening to Sunday evening, plus 25 December or 1 January
    "us_equity": 4.0,  # Thursday's close to Monday's close over Good Friday; a Friday to Tuesday with a Monday holiday
}

# What a venue as a whole did: the symbol to hold a strategy's returns against.
BENCHMARKS: dict[Venue, str | None] = {
    "crypto": "BTCUSDT",  # two thirds of the market's value, and what the rest moves with
    "fx": None,  # no pair is the market
    "us_equity": "SPY",  # the S&P 500 as one can hold it, dividends included
}

# Where intraday bars begin, in seconds after midnight UTC. 13:30 UTC is New York's open in summer; in winter it opens a whole
# hour later, so hours and four-hours cut here give the same number of bars (7 and 2) all year, without a time-zone table.
INTRADAY_ANCHOR_S: dict[Venue, int] = {"crypto": 0, "fx": 0, "us_equity": 48_600}

# Seconds to take off a UTC stamp before reading its date as the session's. New York's extended hours (04:00–20:00) end at
# 00:00 UTC in summer and 01:00 in winter; five hours back, all of them fall on the session's own date in both.
SESSION_DATE_SHIFT_S: dict[Venue, int] = {"crypto": 0, "fx": 0, "us_equity": 18_000}

# Second of Friday (UTC) at which currencies stop: 17:00 New York in summer, the earliest of the year.
FX_FRIDAY_CLOSE_S = 75_600

_STABLECOINS = ("USDT", "USDC", "BUSD", "TUSD", "FDUSD", "DAI")
# fmt: off
_COINS = frozenset((
    "BTC", "XBT", "ETH", "BNB", "XRP", "SOL", "ADA", "DOGE", "DOT", "LTC", "BCH", "LINK", "AVAX",
    "TRX", "XLM", "ETC", "XMR", "ATOM", "UNI", "ALGO", "NEAR", "FIL", "APT", "ARB", "SHIB", "TON",
))
_CURRENCIES = frozenset((
    "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN",
    "HUF", "CZK", "TRY", "ZAR", "MXN", "SGD", "HKD", "CNH", "INR", "BRL",
))
# fmt: on

_COSTS: dict[Venue, Costs] = {
    # Fee: a taker's 0.10 % on the large spot exchanges without discounts. Slippage: BTC and ETH quote within 1 bp, but a
    # market order of some size and the smaller coins pay several. Borrow: margin loans of coins cost 2–10 % a year.
    "crypto": Costs(fee_bps=10.0, slippage_bps=5.0, borrow_bps_per_year=500.0),
    # Fee: 20 dollars a million. Slippage: half a spread of about one pip (0.5 bp) and as much again when the market moves.
    # Borrow: what a retail broker adds to the overnight rate, either way; the rate itself is not modelled.
    "fx": Costs(fee_bps=0.2, slippage_bps=1.0, borrow_bps_per_year=100.0),
    # Fee: half a cent a share on a 50-dollar share is 1 bp; regulatory fees on sales are below 0.3 bp. Slippage: half the
    # spread of a large stock is 1–2 bp, and an order filled at the open meets a wider one. Borrow: easy-to-borrow stocks
    # cost 0.25–0.5 % a year; hard ones far more, which a user must set.
    "us_equity": Costs(fee_bps=1.0, slippage_bps=4.0, borrow_bps_per_year=50.0),
}


def venue_of(symbol: str) -> Venue:
    """Where `symbol` trades: BTCUSDT and BTC-USD crypto, EURUSD fx, anything else a US stock. A pair trades where its legs do."""
    name = symbol.partition(PAIR_SIGN)[0].upper().replace("-", "").replace("/", "")
    for quote in _STABLECOINS:
        if name.endswith(quote) and len(name) > len(quote):
            return "crypto"
    for length in (3, 4, 5):
        base, quote = name[:length], name[length:]
        if base in _COINS and (quote in _CURRENCIES or quote in _COINS):
            return "crypto"
    if len(name) == 6 and name[:3] in _CURRENCIES and name[3:] in _CURRENCIES:
        return "fx"
    return "us_equity"


def pair_of(symbol: str) -> tuple[str, str] | None:
    """Base and quote of a crypto or currency pair: BTCUSDT is (BTC, USDT); None for anything else."""
    name = symbol.upper().replace("-", "").replace("/", "")
    if PAIR_SIGN in name or venue_of(name) == "us_equity":
        return None
    for quote in _STABLECOINS:
        if name.endswith(quote) and len(name) > len(quote):
            return name[: -len(quote)], quote
    for length in (3, 4, 5):
        if name[:length] in _COINS | _CURRENCIES and name[length:] in _CURRENCIES | _COINS:
            return name[:length], name[length:]
    return None


def bars_per_year(symbol_or_venue: str, timeframe: Timeframe) -> float:
    """How many bars of `timeframe` a year of this venue holds; what annualising multiplies by.

    A session that is no whole number of bars ends in a short bar, which counts: a US stock's day of 6.5 h has 7 hourly bars.
    """
    venue = _venue(symbol_or_venue)
    seconds = TIMEFRAME_SECONDS[timeframe]
    if seconds > DAY_S:
        # 52 whole weeks where the year is counted in sessions; 365/7 where every day is traded.
        return 365 / 7 if venue == "crypto" else 52.0
    bars_per_session = math.ceil(SESSION_MINUTES[venue] * 60 / seconds)
    return float(SESSIONS_PER_YEAR[venue] * bars_per_session)


def benchmark_of(symbol_or_venue: str) -> str | None:
    """The symbol that stands for the whole venue, None where none does; a benchmark is not its own."""
    benchmark = BENCHMARKS[_venue(symbol_or_venue)]
    return None if benchmark == symbol_or_venue else benchmark


def default_costs(symbol_or_venue: str) -> Costs:
    """What a trade is assumed to cost here when the user says nothing; each number's reason stands beside it."""
    return _COSTS[_venue(symbol_or_venue)]


def stale_after_s(symbol_or_venue: str, timeframe: Timeframe) -> float:
    """Seconds after the end of the last bar from which bars no longer speak of today.

    Three bars, at least an hour (a download takes its time), plus the venue's longest ordinary closure.
    """
    return max(3 * TIMEFRAME_SECONDS[timeframe], 3600) + LONGEST_CLOSURE_DAYS[_venue(symbol_or_venue)] * DAY_S


def _venue(symbol_or_venue: str) -> Venue:
    for venue in VENUES:
        if symbol_or_venue == venue:
            return venue
    return venue_of(symbol_or_venue)
