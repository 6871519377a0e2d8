"""Can these bars be trusted? What is missing, misplaced or impossible in them, before any figure is computed on it.

`Bars` refuses what no market can be (duplicate stamps, prices of zero, highs below lows); here is what looks wrong to whoever
knows the venue. Three weights: *error*, figures on these bars mean nothing; *warning*, they may mislead; *info*, good to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolve.market.bars import Bars, Floats, Stamps
from evolve.market.calendar import Venue, bars_per_year, venue_of
from evolve.market.sessions import DAY_MS, FIRST_YEAR, expected_starts, in_session, is_dated
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

Kind = Literal[
    "one bar", "gap", "closed market", "other hours", "bad tick", "split", "jump", "constant price", "volume", "density",
]  # fmt: skip
Weight = Literal["error", "warning", "info"]
Verdict = Literal["good", "usable", "bad"]

MOST_NAMED = 5  # of a kind; the count says how many there are
BAD_TICK = 3.0  # a close that trebles, or falls to a third, and is back on the next bar is no news
JUMP = 2.0  # a close that doubles or halves and stays there: news, a split, or another instrument
SPLIT_RATIOS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0)
SPLIT_TOLERANCE = 0.04  # a split day also moves by news; beyond 4 % it might as well be a crash
FEWEST_COVERED = 0.8  # with more than a fifth of the sessions missing, annual figures are guesses
FLAT_RUN_DATED, FLAT_RUN_INTRADAY = (
    5,
    60,
)  # bars without any change: a week, an hour of minutes; thinner markets do pause
DENSITY_TOLERANCE = 1.25  # bars a year against the venue's: holidays and young files stay within, other sessions do not


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. bars: how many are concerned; first: the ISO date of the first one."""

    kind: Kind
    weight: Weight
    bars: int
    first: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. expected: bars that the venue's calendar has between the first and the last one; None where it is not known.

    verdict: bad with an error, usable with a warning, else good.
    """

    symbol: str
    timeframe: Timeframe
    venue: Venue
    source: str
    fingerprint: str
    bars: int
    first: str
    last: str
    expected: int | None
    missing: int | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        weights = {finding.weight for finding in self.findings}
        return "bad" if "error" in weights else "usable" if "warning" in weights else "good"

    def notes(self) -> tuple[str, ...]:
        """Errors and warnings as sentences for whoever reads an answer made on these bars."""
        return tuple(
            f"BAD DATA: {finding.sentence}" if finding.weight == "error" else finding.sentence
            for finding in self.findings
            if finding.weight != "info"
        )


def examine(bars: Bars) -> Report:
    """Everything below, on one set of bars."""
    venue = venue_of(bars.symbol)
    expected, absent = _absent(bars, venue)
    findings = [
        *_one_bar(bars),
        *_gaps(bars, venue, expected, absent),
        *_closed_market(bars.time, bars.symbol, venue, bars.timeframe),
        *bad_ticks(bars.time, bars.close),
        *_bad_wicks(bars),
        *likely_splits(bars.time, bars.open, bars.close),
        *_jumps(bars),
        *_constant(bars),
        *_volume(bars),
        *density(bars.time, bars.symbol, bars.timeframe),
    ]
    order: dict[Weight, int] = {"error": 0, "warning": 1, "info": 2}
    return Report(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        venue=venue,
        source=bars.source,
        fingerprint=bars.fingerprint,
        bars=len(bars),
        first=bars.date(0),
        last=bars.date(-1),
        expected=None if expected is None else len(expected),
        missing=None if absent is None else len(absent),
        findings=tuple(sorted(findings, key=lambda finding: order[finding.weight])),
    )


# ── What is not there ────────────────────────────────────────────────────────────────────────────────────────────────


def _one_bar(bars: Bars) -> Iterator[Finding]:
    if len(bars) == 1:
        yield Finding(
            "one bar", "error", 1, bars.date(0), "there is one bar: no return, and so no figure, can be computed"
        )


def _absent(bars: Bars, venue: Venue) -> tuple[Stamps | None, Stamps | None]:
    """Starts that the calendar expects between the first and the last bar, and those of them that have no bar."""
    if venue == "us_equity" and bars.time[0] < _year_ms(FIRST_YEAR):
        return None, None
    length = 1000 * TIMEFRAME_SECONDS[bars.timeframe]
    expected = expected_starts(venue, bars.timeframe, int(bars.time[0]), int(bars.time[-1]) + length)
    return expected, np.setdiff1d(expected, bars.time, assume_unique=True)


def _gaps(bars: Bars, venue: Venue, expected: Stamps | None, absent: Stamps | None) -> Iterator[Finding]:
    if expected is None or absent is None or not len(absent):
        return
    where = np.searchsorted(expected, absent)
    runs = np.split(absent, np.flatnonzero(np.diff(where) > 1) + 1)
    longest = sorted(runs, key=len, reverse=True)[:MOST_NAMED]
    shown = ", ".join(
        f"{_date(run[0], bars.timeframe)}"
        + (f" to {_date(run[-1], bars.timeframe)} ({len(run)})" if len(run) > 1 else "")
        for run in sorted(longest, key=lambda run: int(run[0]))
    )
    covered = 1 - len(absent) / len(expected)
    yield Finding(
        "gap",
        "error" if covered < FEWEST_COVERED else "warning",
        len(absent),
        _date(absent[0], bars.timeframe),
        f"{len(absent):,} of {len(expected):,} bars that the calendar of {venue} has are missing, in {len(runs):,} "
        f"gap{'s' if len(runs) > 1 else ''}; {'the longest: ' if len(runs) > 1 else ''}{shown}",
    )


# ── What should not be there ─────────────────────────────────────────────────────────────────────────────────────────


def _closed_market(time: Stamps, symbol: str, venue: Venue, timeframe: Timeframe) -> Iterator[Finding]:
    """Bars while the venue is shut: weekends and holidays, and outside regular hours within a day."""
    if venue == "crypto" or timeframe == "1w" or time[0] < _year_ms(FIRST_YEAR):
        return
    length = 1000 * TIMEFRAME_SECONDS[timeframe]
    if is_dated(timeframe):
        shut = ~np.isin(time, expected_starts(venue, timeframe, int(time[0]), int(time[-1]) + length))
        words = "weekends or holidays of"
    else:
        shut = ~in_session(venue, time, length_ms=length)
        words = "hours at which there is no regular trading on"
    count = int(np.count_nonzero(shut))
    if count:
        yield Finding(
            "closed market" if is_dated(timeframe) else "other hours",
            # More than half of all bars while the market sleeps: the stamps are in another zone.
            "error" if count > len(time) / 2 and len(time) > 1 else "warning",
            count,
            _date(time[np.argmax(shut)], timeframe),
            f"{count:,} bars fall on {words} {venue}; check the time zone, or whether {symbol} names the right kind of market",
        )


def bad_ticks(time: Stamps, close: Floats) -> Iterator[Finding]:
    """Closes far from both neighbours, which agree with each other: a misplaced decimal point rather than a market."""
    step = np.diff(np.log(close))
    there, back = step[:-1], step[1:]
    wide = np.log(BAD_TICK)
    found = np.flatnonzero((np.abs(there) > wide) & (np.abs(back) > wide) & (np.abs(there + back) < wide / 4)) + 1
    for bar in found[:MOST_NAMED].tolist():
        yield Finding(
            "bad tick",
            "error",
            len(found),
            _day(time[bar]),
            f"{_day(time[bar])} closes at {close[bar]:g} between {close[bar - 1]:g} and {close[bar + 1]:g}: "
            "a bad tick? correct the row, or every figure rests on it",
        )


def _bad_wicks(bars: Bars) -> Iterator[Finding]:
    """Highs and lows that neither the bar's own ends nor its neighbours come near."""
    ends_high, ends_low = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    previous = np.concatenate([bars.close[:1], bars.close[:-1]])
    for name, wick, around in (
        ("high", bars.high, np.maximum(ends_high, previous)),
        ("low", 1 / bars.low, 1 / np.minimum(ends_low, previous)),
    ):
        found = np.flatnonzero(wick > BAD_TICK * around)
        if found.size:
            bar = int(found[0])
            yield Finding(
                "bad tick",
                "error",
                len(found),
                bars.date(bar),
                f"{bars.date(bar)} has a {name} of {getattr(bars, name)[bar]:g} while it opens at {bars.open[bar]:g} and closes at "
                f"{bars.close[bar]:g}: a bad tick? ({len(found):,} such bars)",
            )


def likely_splits(time: Stamps, open_: Floats, close: Floats) -> Iterator[Finding]:
    """Opens that are a whole fraction of the close before them: what a split looks like in prices not adjusted for it."""
    ratio = close[:-1] / open_[1:]
    found = sorted(
        (int(bar) + 1, whole)
        for whole in SPLIT_RATIOS
        for bar in np.flatnonzero(np.abs(ratio / whole - 1) < SPLIT_TOLERANCE)
    )
    for bar, whole in found[:MOST_NAMED]:
        yield Finding(
            "split",
            "warning",
            len(found),
            _day(time[bar]),
            f"{_day(time[bar])} looks like an unadjusted {whole:g}:1 split; import adjusted prices, or add an adj_close column",
        )


def _jumps(bars: Bars) -> Iterator[Finding]:
    step = np.diff(np.log(bars.close))
    found = np.flatnonzero(np.abs(step) > np.log(JUMP)) + 1
    if found.size:
        bar = int(found[0])
        yield Finding(
            "jump",
            "warning",
            len(found),
            bars.date(bar),
            f"{len(found):,} closes at least doubled or halved in one bar, first {bars.date(bar)}: {bars.close[bar - 1]:g} to {bars.close[bar]:g}",
        )


def _constant(bars: Bars) -> Iterator[Finding]:
    """Runs in which nothing happened at all: a halted or dead symbol, or a source that fills holes with the last price."""
    if len(bars) < 2:
        return
    flat = (bars.high == bars.low) & (np.diff(bars.close, prepend=np.nan) == 0)
    if np.all(bars.close == bars.close[0]):
        yield Finding(
            "constant price",
            "error",
            len(bars),
            bars.date(0),
            f"the price is {bars.close[0]:g} in all {len(bars):,} bars",
        )
        return
    least = FLAT_RUN_DATED if is_dated(bars.timeframe) else FLAT_RUN_INTRADAY
    runs = [(start, stop) for start, stop in _runs(flat) if stop - start >= least]
    if runs:
        start, stop = max(runs, key=lambda run: run[1] - run[0])
        yield Finding(
            "constant price",
            "warning",
            sum(stop - start for start, stop in runs),
            bars.date(runs[0][0]),
            f"the price stands still in {len(runs):,} stretches of at least {least} bars, the longest {bars.date(start)} to "
            f"{bars.date(stop - 1)}: halted, or filled in by the source?",
        )


def _volume(bars: Bars) -> Iterator[Finding]:
    unknown = np.isnan(bars.volume)
    count = int(np.count_nonzero(unknown))
    if count == len(bars):
        yield Finding("volume", "info", count, bars.date(0), "volume is unknown")
    elif count:
        yield Finding(
            "volume", "warning", count, bars.date(int(np.argmax(unknown))), f"volume of {count:,} bars is unknown (NaN)"
        )
    idle = bars.volume == 0
    count = int(np.count_nonzero(idle))
    if count > len(bars) / 10:  # a tenth: a price at which nobody traded is a quote, and cannot be filled at
        yield Finding(
            "volume",
            "warning",
            count,
            bars.date(int(np.argmax(idle))),
            f"nothing was traded in {count:,} of {len(bars):,} bars",
        )


def density(time: Stamps, symbol: str, timeframe: Timeframe) -> Iterator[Finding]:
    """Far more or fewer bars a year than the venue has: annual figures assume the venue's."""
    venue = venue_of(symbol)
    years = float(time[-1] - time[0]) / DAY_MS / 365.25
    expected = bars_per_year(symbol, timeframe)
    if years >= 0.25:  # over less, holidays alone move the figure
        actual = (len(time) - 1) / years
        if not expected / DENSITY_TOLERANCE < actual < expected * DENSITY_TOLERANCE:
            yield Finding(
                "density",
                "warning",
                len(time),
                _date(time[0], timeframe),
                f"the file holds {actual:,.0f} bars a year where {venue} has {expected:,.0f}; annual figures assume the latter",
            )


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and stop (exclusive) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _year_ms(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000


def _day(ms: int) -> str:
    return datetime.fromtimestamp(int(ms) / 1000, UTC).strftime("%Y-%m-%d")


def _date(ms: int, timeframe: Timeframe) -> str:
    shape = "%Y-%m-%d" if is_dated(timeframe) else "%Y-%m-%dT%H:%MZ"
    return datetime.fromtimestamp(int(ms) / 1000, UTC).strftime(shape)
