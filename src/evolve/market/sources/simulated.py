"""What could prices have done? Invented bars for trying things out; they say nothing about any stock.

One path of one-minute steps per symbol, drawn from a seed that is the symbol's name: two-factor stochastic volatility with
leverage, jumps and the day's own shape. Every timeframe is aggregated from that one path, so that they agree with each other;
sessions are the venue's, holidays and half days included. Returns cannot be foreseen in it, volatility can. Prices begin at 100
and dates are fixed, so that bars and their fingerprint never change. How real the path looks is measured in its tests: at
least nine tenths of the stylised facts lie inside the band of twenty real stocks.

Source of the model: Chernov, Gallant, Ghysels, Tauchen (2003), Alternative models for stock price dynamics, J. Econometrics 116.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np

from evolve.errors import DataUnavailable
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import SESSION_MINUTES, SESSIONS_PER_YEAR, Venue, bars_per_year, venue_of
from evolve.market.resample import Columns, aggregate, bar_starts, joined
from evolve.market.sessions import MINUTE_MS, WEEK_MS, session_days, session_hours
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.types import SPECIFIED_SYMBOLS, TIMEFRAME_SECONDS, TIMEFRAMES, Timeframe

MODEL = "evolve-simulated-2"  # part of the seed: a changed model must not pass for the old one
START_PRICE = 100.0
FIRST_DAY = date(2017, 1, 2)  # a Monday, as the next two are: every week lies on one side of a border
DETAIL_DAY = date(2024, 9, 30)  # bars shorter than half an hour are given from here on: 4 million minutes help nobody
END_DAY = date(2024, 12, 30)  # exclusive
COARSE_MINUTES = 30
WEEKS_AT_ONCE = 52  # a year of minutes of what never closes takes 60 MB while it is drawn

NOTES = (
    "SIMULATED: invented prices from a random model, not the symbol's; no result on them is a view on it",
    "simulated bars begin at a price of 100 and end on 2024-12-29 (stocks: 2024-12-27), on purpose",
)


@dataclass(frozen=True, slots=True)
class Dynamics:
    """How wild a venue's prices are. Volatilities are per square root of a year, factors of log variance live in sessions."""

    volatility: float
    slow_sd: float
    slow_half_life: float
    fast_sd: float
    fast_half_life: float
    slow_leverage: float  # correlation of a return with the change of the factor: falling prices, rising volatility
    fast_leverage: float
    jumps_per_year: float
    jump_sd: float
    overnight_share: float  # of a session's variance that happens while the venue is closed
    drift: float = 0.05


# Half-lives and sizes give a kurtosis of daily returns of about 5–12 and slowly fading autocorrelation of their absolute values.
DYNAMICS: dict[Venue, Dynamics] = {
    "crypto": Dynamics(0.60, 0.80, 45, 0.60, 1.2, -0.10, -0.20, 12, 0.035, 0.0),
    "fx": Dynamics(0.09, 0.50, 60, 0.60, 1.5, 0.0, 0.0, 6, 0.006, 0.0),
    # Jumps of stocks fall into the night: four earnings releases a year and other news.
    "us_equity": Dynamics(0.35, 0.85, 60, 0.60, 1.5, -0.40, -0.60, 6, 0.045, 0.25),
}


class SimulatedSource:
    """Bars of an invented path. Daily bars and longer from 2017 on, finer than 30 minutes for the last quarter."""

    name = "SIMULATED"

    def symbols(self) -> list[BarSpec]:
        """The symbols of the specification; `load` answers any other symbol too, and whoever calls decides which may be asked."""
        return sorted(BarSpec(symbol, timeframe) for symbol in SPECIFIED_SYMBOLS for timeframe in TIMEFRAMES)

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Simulated bars, the same every time. Raises DataUnavailable for a timeframe that does not exist."""
        if spec.timeframe not in TIMEFRAMES:
            raise DataUnavailable(f"no bars at {spec.timeframe!r}; timeframes are {', '.join(TIMEFRAMES)}")
        venue = venue_of(spec.symbol)
        columns = _columns(spec.symbol, spec.timeframe)
        bars = Bars(
            symbol=spec.symbol,
            timeframe=spec.timeframe,
            time=columns.time,
            open=columns.open,
            high=columns.high,
            low=columns.low,
            close=columns.close,
            volume=columns.volume,
            source=self.name,
            bars_per_year=bars_per_year(venue, spec.timeframe),
            simulated=True,
            notes=NOTES,
        )
        return within(bars, span)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What all timeframes are made of: half hours of all years, and the minutes since DETAIL_DAY. 13 MB for what never closes."""

    half_hours: Columns
    minutes: Columns


@lru_cache(maxsize=4)  # a question asks the same symbol at several timeframes, and its benchmark
def _kept(symbol: str) -> _Kept:
    venue, since = venue_of(symbol), _ms(DETAIL_DAY)
    half_hours, minutes = [], []
    for stretch in _path(symbol):
        half_hours.append(aggregate(stretch, bar_starts(stretch.time, "30m", venue=venue, dated=False)))
        minutes.append(stretch.where(stretch.time >= since))
    return _Kept(joined(half_hours), joined(minutes))


def _columns(symbol: str, timeframe: Timeframe) -> Columns:
    """Bars of the path, all years of it; those shorter than half an hour since DETAIL_DAY."""
    kept = _kept(symbol)
    source = kept.minutes if TIMEFRAME_SECONDS[timeframe] < 60 * COARSE_MINUTES else kept.half_hours
    return aggregate(source, bar_starts(source.time, timeframe, venue=venue_of(symbol), dated=False))


@dataclass(slots=True)
class _State:
    """Where the path stands between two stretches: both factors of log variance, and the log price."""

    slow: float = 0.0
    fast: float = 0.0
    price: float = math.log(START_PRICE)


def _path(symbol: str) -> Iterator[Columns]:
    """Bars of one minute, about a year at a time."""
    venue = venue_of(symbol)
    seed = int.from_bytes(hashlib.sha256(f"{MODEL}|{symbol}".encode()).digest()[:8], "big")
    random, state = np.random.Generator(np.random.PCG64(seed)), _State()
    first, end = _ms(FIRST_DAY), _ms(END_DAY)
    for start in range(first, end, WEEKS_AT_ONCE * WEEK_MS):
        yield _stretch(venue, start, min(end, start + WEEKS_AT_ONCE * WEEK_MS), state, random)


def _stretch(venue: Venue, start: int, end: int, state: _State, random: np.random.Generator) -> Columns:
    """Bars of one minute from start to end (ms); moves `state` on."""
    dynamics = DYNAMICS[venue]
    time, minute = _minutes(venue, start, end)
    count = len(time)
    opens_session = minute == 0
    session = 1 / SESSION_MINUTES[venue]  # a minute, as a share of a session
    year = session / SESSIONS_PER_YEAR[venue]

    shock = random.standard_normal(count)
    slow = _factor(
        shock, random, session, dynamics.slow_sd, dynamics.slow_half_life, dynamics.slow_leverage, state.slow
    )
    fast = _factor(
        shock, random, session, dynamics.fast_sd, dynamics.fast_half_life, dynamics.fast_leverage, state.fast
    )
    state.slow, state.fast = float(slow[-1]), float(fast[-1])
    factors = slow[:-1] + fast[:-1]
    # exp() of a normal with variance v has mean exp(v / 2): taken off, so that `volatility` is what comes out on average.
    relative_variance = np.exp(factors - (dynamics.slow_sd**2 + dynamics.fast_sd**2) / 2)
    session_variance = dynamics.volatility**2 / SESSIONS_PER_YEAR[venue] * relative_variance

    profile = _intraday_profile(minute, venue)
    variance = session_variance * (1 - dynamics.overnight_share) * session * profile
    moves = np.sqrt(variance) * shock + dynamics.drift * year - variance / 2
    gaps = np.zeros(count)
    night = np.flatnonzero(opens_session)
    gaps[night] = np.sqrt(session_variance[night] * dynamics.overnight_share) * random.standard_normal(len(night))
    # Jumps of what closes fall into the night, those of what never closes anywhere.
    where, chance = (night, 1 / SESSIONS_PER_YEAR[venue]) if dynamics.overnight_share else (np.arange(count), year)
    jumping = where[random.random(len(where)) < dynamics.jumps_per_year * chance]
    (gaps if dynamics.overnight_share else moves)[jumping] += dynamics.jump_sd * random.standard_normal(len(jumping))

    closes = state.price + np.cumsum(gaps + moves)
    state.price = float(closes[-1])
    opens = closes - moves
    # Extremes of a Brownian path with known ends have this exact law, so that no finer steps are needed to draw them.
    highs = (opens + closes + np.sqrt(moves**2 - 2 * variance * np.log(1 - random.random(count)))) / 2
    lows = (opens + closes - np.sqrt(moves**2 - 2 * variance * np.log(1 - random.random(count)))) / 2
    volume = 1000 * profile * np.exp(factors / 2 + 0.4 * random.standard_normal(count))
    # Four decimals keep the figures readable; rounding never reorders, so low ≤ open, close ≤ high survives it.
    open_, high, low, close = np.round(np.exp(np.stack((opens, highs, lows, closes))), 4)
    return Columns(time, open_, high, low, close, np.round(volume))


def _factor(
    shock: Floats,
    random: np.random.Generator,
    session: float,
    sd: float,
    half_life: float,
    leverage: float,
    level: float,
) -> Floats:
    """A mean-reverting factor of log variance before each step and after the last; its changes correlate with `shock`."""
    decay = math.exp(-math.log(2) / half_life * session)
    own = random.standard_normal(len(shock))
    pushes = sd * math.sqrt(1 - decay**2) * (leverage * shock + math.sqrt(1 - leverage**2) * own)
    # x[n + 1] = decay · x[n] + push[n], solved a block at a time; 4096 minutes are far from where 1 / decay^n would overflow.
    block = 4096
    powers = decay ** np.arange(block + 1)
    levels = np.empty(len(shock) + 1)
    levels[0] = level
    for start in range(0, len(shock), block):
        part = pushes[start : start + block]
        grown = powers[1 : len(part) + 1] * (level + np.cumsum(part / powers[1 : len(part) + 1]))
        levels[start + 1 : start + 1 + len(part)] = grown
        level = float(grown[-1])
    return levels


def _minutes(venue: Venue, start: int, end: int) -> tuple[Stamps, Floats]:
    """Start (ms) of every minute of trading from start to end, and which minute of its session it is."""
    opens, closes = session_hours(venue, session_days(venue, start, end))
    counts = (closes - opens) // MINUTE_MS
    minute = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(opens, counts) + minute * MINUTE_MS, minute.astype(np.float64)


def _intraday_profile(minute: Floats, venue: Venue) -> Floats:
    """How busy this minute of the session is, 1 on average: a U for stocks, a daily wave where trading never stops."""
    if venue == "us_equity":
        position = (minute + 0.5) / SESSION_MINUTES[venue]
        return 0.7 + 0.9 * (2 * position - 1) ** 2
    return 1 + 0.3 * np.sin(2 * math.pi * (minute / 1440 - 0.375))


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
