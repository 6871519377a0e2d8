"""What could prices have done? Invented bars for trying things out; they say nothing about any stock.

One path per symbol, drawn from a seed that is the symbol's name: two-factor stochastic volatility with leverage and jumps
(findings.md: keeps 93 % of the stylised facts of 20 real stocks inside their band). Steps of 30 minutes, and of one minute
in the last quarter; every timeframe is aggregated from that one path, so that they agree with each other. Returns cannot be
foreseen in it, volatility can. Prices begin at 100 and dates are fixed, so that bars and their fingerprint never change.

Source of the model: Chernov, Gallant, Ghysels, Tauchen (2003), Alternative models for stock price dynamics, J. Econometrics 116.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evolve.errors import DataUnavailable
from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import SESSION_MINUTES, SESSIONS_PER_YEAR, Venue, bars_per_year, venue_of
from evolve.market.resample import Columns, aggregate, bar_starts
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.types import SPECIFIED_SYMBOLS, TIMEFRAME_SECONDS, TIMEFRAMES

MODEL = "evolve-simulated-1"  # part of the seed: a changed model must not pass for the old one
START_PRICE = 100.0
FIRST_DAY = date(2017, 1, 2)  # a Monday, and so are the next two: every week lies on one side of the border
DETAIL_DAY = date(2024, 9, 30)  # from here on in steps of one minute
END_DAY = date(2024, 12, 30)  # exclusive
COARSE_MINUTES = 30
MINUTE_MS = 60_000
OPEN_MINUTE: dict[Venue, int] = {"crypto": 0, "fx": 0, "us_equity": 14 * 60 + 30}  # New York's winter open, all year

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
        path = _path(spec.symbol)
        if TIMEFRAME_SECONDS[spec.timeframe] < 60 * COARSE_MINUTES:
            path = _since(path, _ms(DETAIL_DAY))
        columns = aggregate(path, bar_starts(path.time, spec.timeframe, venue=venue, dated=False))
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
class _Steps:
    """The grid of the path: start (ms), length in minutes, minute of the session, and whether a session begins here."""

    time: Stamps
    minutes: Floats
    minute_of_session: Floats
    opens: NDArray[np.bool_]


@lru_cache(maxsize=2)  # one path is about 10 MB; a question asks the same symbol at several timeframes
def _path(symbol: str) -> Columns:
    """Bars of the finest steps: 30 minutes, then one minute."""
    venue = venue_of(symbol)
    dynamics = DYNAMICS[venue]
    steps = _steps(venue)
    seed = int.from_bytes(hashlib.sha256(f"{MODEL}|{symbol}".encode()).digest()[:8], "big")
    random = np.random.Generator(np.random.PCG64(seed))
    count = len(steps.time)

    session_minutes = SESSION_MINUTES[venue]
    sessions = steps.minutes / session_minutes
    shock = random.standard_normal(count)
    slow = _factor(
        shock,
        random.standard_normal(count),
        sessions,
        dynamics.slow_sd,
        dynamics.slow_half_life,
        dynamics.slow_leverage,
    )
    fast = _factor(
        shock,
        random.standard_normal(count),
        sessions,
        dynamics.fast_sd,
        dynamics.fast_half_life,
        dynamics.fast_leverage,
    )
    # exp() of a normal with variance v has mean exp(v / 2): taken off, so that `volatility` is what comes out on average.
    relative_variance = np.exp(slow + fast - (dynamics.slow_sd**2 + dynamics.fast_sd**2) / 2)
    session_variance = dynamics.volatility**2 / SESSIONS_PER_YEAR[venue] * relative_variance

    profile = _intraday_profile(steps.minute_of_session, venue)
    variance = session_variance * (1 - dynamics.overnight_share) * sessions * profile
    years = sessions / SESSIONS_PER_YEAR[venue]
    moves = np.sqrt(variance) * shock + dynamics.drift * years - variance / 2
    gaps = np.where(
        steps.opens, np.sqrt(session_variance * dynamics.overnight_share) * random.standard_normal(count), 0.0
    )
    jump_chance = steps.opens / SESSIONS_PER_YEAR[venue] if dynamics.overnight_share else years
    jumps = (
        (random.random(count) < dynamics.jumps_per_year * jump_chance)
        * dynamics.jump_sd
        * random.standard_normal(count)
    )
    if dynamics.overnight_share:
        gaps = gaps + jumps
    else:
        moves = moves + jumps

    closes = math.log(START_PRICE) + np.cumsum(gaps + moves)
    opens = closes - moves
    # Extremes of a Brownian path with known ends have this exact law, so that no finer steps are needed to draw them.
    highs = (opens + closes + np.sqrt(moves**2 - 2 * variance * np.log(1 - random.random(count)))) / 2
    lows = (opens + closes - np.sqrt(moves**2 - 2 * variance * np.log(1 - random.random(count)))) / 2
    volume = 1000 * steps.minutes * profile * np.exp((slow + fast) / 2 + 0.4 * random.standard_normal(count))
    # Four decimals keep the figures readable; rounding never reorders, so low ≤ open, close ≤ high survives it.
    open_, high, low, close = np.round(np.exp(np.stack((opens, highs, lows, closes))), 4)
    return Columns(steps.time, open_, high, low, close, np.round(volume))


def _factor(shock: Floats, own: Floats, sessions: Floats, sd: float, half_life: float, leverage: float) -> Floats:
    """A mean-reverting factor of log variance before each step; its changes correlate with the returns' shocks."""
    decay = np.exp(-math.log(2) / half_life * sessions)
    pushes = sd * np.sqrt(1 - decay**2) * (leverage * shock + math.sqrt(1 - leverage**2) * own)
    level, levels = 0.0, [0.0]
    for keep, push in zip(decay[:-1].tolist(), pushes[:-1].tolist(), strict=True):
        level = keep * level + push
        levels.append(level)
    return np.array(levels)


def _steps(venue: Venue) -> _Steps:
    coarse = _grid(_session_days(FIRST_DAY, DETAIL_DAY, venue), COARSE_MINUTES, venue)
    fine = _grid(_session_days(DETAIL_DAY, END_DAY, venue), 1, venue)
    time = np.concatenate([coarse[0], fine[0]])
    minute = np.concatenate([coarse[1], fine[1]])
    lengths = np.concatenate([np.full(len(coarse[0]), float(COARSE_MINUTES)), np.ones(len(fine[0]))])
    return _Steps(time, lengths, minute, minute == 0)


def _grid(days: Stamps, step_minutes: int, venue: Venue) -> tuple[Stamps, Floats]:
    minutes = np.arange(0, SESSION_MINUTES[venue], step_minutes, dtype=np.int64)
    time = days[:, None] + (OPEN_MINUTE[venue] + minutes)[None, :] * MINUTE_MS
    return time.ravel(), np.tile(minutes.astype(np.float64), len(days))


def _session_days(first: date, end: date, venue: Venue) -> Stamps:
    """Midnights (ms) of the sessions in first … end (exclusive)."""
    days = [first + timedelta(days=n) for n in range((end - first).days)]
    if venue == "fx":
        days = [day for day in days if day.weekday() < 5]
    if venue == "us_equity":
        days = [day for day in days if day.weekday() < 5 and not _is_us_holiday(day)]
    return np.array([_ms(day) for day in days], dtype=np.int64)


def _is_us_holiday(day: date) -> bool:
    """Nine holidays a year, enough for 252 sessions. Not the real calendar: no Good Friday, no days moved from weekends."""
    nth = (day.day - 1) // 7 + 1
    is_monday = day.weekday() == 0
    return (
        (day.month, day.day) in {(1, 1), (6, 19), (7, 4), (12, 25)}
        or (is_monday and (day.month, nth) in {(1, 3), (2, 3), (9, 1)})
        or (is_monday and day.month == 5 and day.day > 24)
        or (day.weekday() == 3 and (day.month, nth) == (11, 4))
    )


def _intraday_profile(minute: Floats, venue: Venue) -> Floats:
    """How busy this minute of the session is, 1 on average: a U for stocks, a daily wave where trading never stops."""
    if venue == "us_equity":
        position = (minute + 0.5) / SESSION_MINUTES[venue]
        return 0.7 + 0.9 * (2 * position - 1) ** 2
    return 1 + 0.3 * np.sin(2 * math.pi * (minute / 1440 - 0.375))


def _since(path: Columns, start: int) -> Columns:
    first = int(np.searchsorted(path.time, start))
    return Columns(*(getattr(path, name)[first:] for name in ("time", "open", "high", "low", "close", "volume")))


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
