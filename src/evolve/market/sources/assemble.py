"""Are these all the bars that were asked for? What a service sent becomes checked bars, or the reason why not.

Services differ in what they send beyond regular hours, in how they cut hours, and in what they leave out without a word. Here
everything is cut as `resample` cuts it and held against the venue's calendar: bars that the calendar has and the service
did not send are `Truncated`, unless the service itself says that trading had not begun or had ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evolve.errors import BadAnswer, DataUnavailable, Truncated
from evolve.market import quality
from evolve.market.bars import Bars, Stamps
from evolve.market.calendar import Venue, bars_per_year, venue_of
from evolve.market.provenance import Provenance
from evolve.market.resample import resample
from evolve.market.sessions import closes_of, expected_starts, in_session, is_dated
from evolve.market.sources.base import DAY_MS, BarSpec, Span
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe

# A single session without a bar may be a halt or a hole in the archive; three in a row are a page that was lost.
LONGEST_HOLE = 2
MINUTE_MS = 60_000
QUIET_MS = 30 * MINUTE_MS  # thinly traded symbols have minutes without a trade, hardly ever half hours before the close

# (ms, open, high, low, close, volume)
Row = tuple[int, float, float, float, float, float]


@dataclass(slots=True)
class Sent:
    """What a service sent, page by page, oldest first."""

    source: str
    rows: list[Row] = field(default_factory=list)

    def add(self, page: Sequence[Row]) -> None:
        """Append a page. Raises BadAnswer when it does not go on where the one before it ended."""
        last = self.rows[-1][0] if self.rows else None
        for row in page:
            if last is not None and row[0] <= last:
                what = "the same bar twice" if row[0] == last else "bars out of order"
                raise BadAnswer(f"{self.source} sent {what} (at {_date(row[0])}); try again later", source=self.source)
            last = row[0]
        self.rows.extend(page)


@dataclass(frozen=True, slots=True)
class Life:
    """Since when and until when a symbol trades (ISO dates), as far as the service tells; None where it does not."""

    listed: str | None = None
    delisted: str | None = None


def asked_timeframe(spec: BarSpec) -> Timeframe:
    """Which timeframe to ask a service for: one that all cut alike, from which `resample` makes the wanted one.

    Hours of US stocks are cut on the clock by services and at half past by the session; weeks begin on Sunday for some.
    """
    if spec.timeframe == "1w":
        return "1d"
    if venue_of(spec.symbol) == "us_equity" and spec.timeframe in ("1h", "4h"):
        return "30m"
    return spec.timeframe


def assembled(
    sent: Sent,
    spec: BarSpec,
    span: Span,
    provenance: Provenance,
    *,
    now: float,
    life: Life,
    currency: str,
    allow_gaps: bool,
    asked: Timeframe | None = None,
) -> Bars:
    """Checked bars at `spec.timeframe` from rows at `asked`, by default `asked_timeframe(spec)`.

    Raises DataUnavailable when nothing is left, or a price is impossible; Truncated (unless allow_gaps) as the module says.
    """
    venue, asked = venue_of(spec.symbol), asked or asked_timeframe(spec)
    rows = [row for row in sent.rows if span.start <= row[0] < span.end]
    notes: list[str] = []
    table = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), 5)
    time = np.array([row[0] for row in rows], dtype=np.int64)
    kept = np.ones(len(rows), dtype=bool)
    if not is_dated(asked):
        kept = in_session(venue, time, length_ms=0)
        if not kept.all():
            notes.append(f"{np.count_nonzero(~kept):,} bars outside regular trading hours were left out")
    unfinished = closes_of(venue, asked, time) + 1000 * provenance.delay_s > 1000 * now
    if unfinished.any():
        notes.append("the unfinished last bar was left out")
    kept &= ~unfinished
    if not kept.any():
        raise DataUnavailable(
            f"{sent.source} has no finished {asked} bars of {spec.symbol} from {span.first} to {span.last}; ask for another span",
            source=sent.source,
        )
    time, table = time[kept], table[kept]
    complaints = list(_incomplete(time, venue, asked, span, now_ms=int(1000 * (now - provenance.delay_s)), life=life))
    fatal = [complaint.sentence for complaint in complaints if complaint.fatal]
    if fatal and not allow_gaps:
        raise Truncated(
            f"{sent.source} sent fewer {asked} bars of {spec.symbol} than {venue} traded: {'; '.join(fatal)}. "
            "Fetch again, or accept the gaps with --allow-gaps",
            source=sent.source,
            symbol=spec.symbol,
        )
    notes.extend(complaint.sentence for complaint in complaints)
    bars = Bars(
        symbol=spec.symbol,
        timeframe=asked,
        time=time,
        open=table[:, 0],
        high=table[:, 1],
        low=table[:, 2],
        close=table[:, 3],
        volume=table[:, 4],
        source=sent.source,
        bars_per_year=bars_per_year(spec.symbol, asked),
        currency=currency,
        notes=(*provenance.notes(), *notes),
        provenance=provenance,
    )
    bars = resample(bars, spec.timeframe)
    said = [note for note in quality.examine(bars).notes() if " are missing, " not in note or not complaints]
    return replace(bars, notes=(*bars.notes, *said))


@dataclass(frozen=True, slots=True)
class _Complaint:
    sentence: str
    fatal: bool


def _incomplete(
    time: Stamps, venue: Venue, timeframe: Timeframe, span: Span, *, now_ms: int, life: Life
) -> list[_Complaint]:
    """Sessions of the span without any bar: before the first, after the last, and holes between."""
    expected = expected_starts(venue, timeframe, span.start, min(span.end, now_ms))
    expected = expected[closes_of(venue, timeframe, expected) <= now_ms]
    sessions = np.unique(_sessions(expected))
    have = np.unique(_sessions(time))
    absent = np.setdiff1d(sessions, have, assume_unique=True)
    before, after = absent[absent < have[0]], absent[absent > have[-1]]
    between = absent[(absent > have[0]) & (absent < have[-1])]
    found = [_head(before, have, life), _tail(after, have, life), _holes(between, sessions)]
    if not len(after) and not is_dated(timeframe) and len(expected):
        # The last session is there; is its end?
        missing_ms = int(expected[-1] - time[-1])
        allowed = max(QUIET_MS, 1000 * TIMEFRAME_SECONDS[timeframe])
        if missing_ms > allowed:
            found.append(
                _Complaint(
                    f"the last session ends {missing_ms // MINUTE_MS:,} minutes early, at {_minute(int(time[-1]))}",
                    True,
                )
            )
    return [complaint for complaint in found if complaint is not None]


def _head(before: Stamps, have: Stamps, life: Life) -> _Complaint | None:
    if not len(before):
        return None
    first = _date(int(have[0]))
    if life.listed is not None and life.listed >= _date(int(before[-1])):
        return _Complaint(f"bars begin on {first}: it was listed on {life.listed}", False)
    if life.listed is None:
        # Without a date of listing nobody can tell a young symbol from a plan that gives two years.
        return _Complaint(
            f"bars begin on {first}, though asked for from {_date(int(before[0]))}: listed later, or the source holds no more",
            False,
        )
    return _Complaint(
        f"bars begin on {first}, but it was listed on {life.listed} ({len(before):,} sessions missing)", True
    )


def _tail(after: Stamps, have: Stamps, life: Life) -> _Complaint | None:
    last = _date(int(have[-1]))
    if life.delisted is not None:
        after = after[after <= _ms_of(life.delisted)]
    if not len(after):
        return None
    return _Complaint(f"bars end on {last}, {len(after):,} sessions before {_date(int(after[-1]))}", True)


def _holes(between: Stamps, sessions: Stamps) -> _Complaint | None:
    if not len(between):
        return None
    where = np.searchsorted(sessions, between)
    runs = np.split(between, np.flatnonzero(np.diff(where) > 1) + 1)
    longest = max(runs, key=len)
    sentence = f"{len(between):,} sessions without a bar, the longest stretch {_date(int(longest[0]))} to {_date(int(longest[-1]))} ({len(longest):,})"
    return _Complaint(sentence, len(longest) > LONGEST_HOLE)


def _sessions(time: Stamps) -> Stamps:
    """Midnights of the sessions in which bars begin; New York's regular hours lie within one UTC date."""
    return time // DAY_MS * DAY_MS


def _ms_of(day: str) -> int:
    return Span.of_days(day, day).start


def _date(ms: int) -> str:
    return str(np.datetime64(ms, "ms").astype("datetime64[D]"))


def _minute(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms').astype('datetime64[m]')}Z"
