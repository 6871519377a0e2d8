"""Where do bars come from? What every source can say and do, near or far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.market.bars import Bars
from evolve.market.types import Timeframe

DAY_MS = 86_400_000

# How far a fetch has come: bars so far, and the share of the span that is covered (0 … 1).
Progress = Callable[[int, float], None]


def unheard(bars: int, share: float) -> None:
    """A Progress for whoever does not watch."""


@dataclass(frozen=True, slots=True, order=True)
class BarSpec:
    """Which bars: one symbol at one timeframe."""

    symbol: str
    timeframe: Timeframe


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when: Unix ms, start inclusive, end exclusive. Raises InvalidRequest when it is empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise InvalidRequest(f"the span from {self.first} to {self.last} is empty; --from must lie before --to")

    @classmethod
    def of_days(cls, first: str, last: str) -> Span:
        """From the ISO date `first` to the ISO date `last`, both inclusive. Raises InvalidRequest for anything else."""
        return cls(_midnight(first), _midnight(last) + DAY_MS)

    @property
    def first(self) -> str:
        return datetime.fromtimestamp(self.start / 1000, UTC).date().isoformat()

    @property
    def last(self) -> str:
        """The last date inside, inclusive."""
        return (datetime.fromtimestamp(self.end / 1000, UTC) - timedelta(milliseconds=1)).date().isoformat()


class Source(Protocol):
    """Bars by symbol and timeframe. A source answers with what was asked or raises; it never falls back on another."""

    @property
    def name(self) -> str: ...

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """The bars, oldest first; those that begin inside `span`, or all there are.

        Raises DataUnavailable when the source has none, and what `sources.line` names when it lies across a network.
        """
        ...


class Listed(Source, Protocol):
    """A source that knows what it holds."""

    def symbols(self) -> list[BarSpec]:
        """Everything that `load` can answer, sorted."""
        ...


def within(bars: Bars, span: Span | None) -> Bars:
    """Those of `bars` that begin inside `span`. Raises DataUnavailable when there are none."""
    if span is None:
        return bars
    start, stop = np.searchsorted(bars.time, [span.start, span.end])
    if start == stop:
        raise DataUnavailable(
            f"{bars.source} has {bars.timeframe} bars of {bars.symbol} from {bars.date(0)} to {bars.date(-1)}, none from {span.first} to {span.last}"
        )
    return bars.slice(int(start), int(stop))


def _midnight(text: str) -> int:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a date; write it as YYYY-MM-DD") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
