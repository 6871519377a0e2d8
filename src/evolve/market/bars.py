"""Bars: open, high, low, close and volume of one symbol at one timeframe, checked once and never changed.

Prices are adjusted for splits and dividends where the source says how (`notes` tell). Stamps are the *start* of a bar;
`available_at` says when it could be known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.errors import DataUnavailable
from evolve.market.calendar import venue_of
from evolve.market.provenance import Provenance
from evolve.market.sessions import closes_of
from evolve.market.types import TIMEFRAME_SECONDS, Timeframe
from evolve.showing import Shown

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]
FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, eq=False)
class Bars(Shown):
    """OHLCV bars, oldest first.

    time: int64, Unix milliseconds UTC of each bar's start, strictly increasing. open, high, low, close: float64 > 0;
    volume: float64 ≥ 0 (NaN where the source has none); all of shape (bars,) and read-only.
    bars_per_year: how many such bars a year of this venue holds (252 daily bars of a US stock). Raises DataUnavailable
    naming the first bar that breaks one of these rules.
    """

    symbol: str
    timeframe: Timeframe
    time: Stamps
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    source: str
    bars_per_year: float
    currency: str = "USD"
    simulated: bool = False
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", _frozen(self.time, np.int64))
        for name in FIELDS:
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        self._check()

    def __len__(self) -> int:
        return len(self.time)

    def slice(self, start: int, stop: int) -> Bars:
        """Bars start … stop − 1, copied, so that nothing reaches what lies beyond."""
        arrays = {name: getattr(self, name)[start:stop].copy() for name in ("time", *FIELDS)}
        return replace(self, **arrays)

    def until(self, bar: int) -> Bars:
        """All that was known at the close of `bar` (inclusive), copied."""
        return self.slice(0, bar + 1)

    def date(self, bar: int) -> str:
        """ISO date (daily and longer) or date and minute of a bar's start; negative indices count from the end."""
        moment = datetime.fromtimestamp(int(self.time[bar]) / 1000, UTC)
        return moment.strftime("%Y-%m-%d" if TIMEFRAME_SECONDS[self.timeframe] >= 86_400 else "%Y-%m-%dT%H:%MZ")

    def bars_within(self, days: int) -> int:
        """How many of the last bars lie in the last `days` calendar days of the data."""
        if not len(self):
            return 0
        first = int(self.time[-1]) - days * 86_400_000
        return int(len(self) - np.searchsorted(self.time, first, side="right"))

    @property
    def available_at(self) -> Stamps:
        """Unix ms at which each bar could first be known: the close of trading in it, plus the source's delay; shape (bars,)."""
        delay_ms = int(1000 * self.provenance.delay_s) if self.provenance else 0
        return closes_of(venue_of(self.symbol), self.timeframe, self.time) + delay_ms

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over symbol, timeframe and all values: equal bars, equal fingerprint, on any machine."""
        digest = hashlib.sha256(f"{self.symbol}|{self.timeframe}|{self.simulated}|".encode())
        for name in ("time", *FIELDS):
            digest.update(
                np.ascontiguousarray(getattr(self, name)).astype("<i8" if name == "time" else "<f8").tobytes()
            )
        return digest.hexdigest()

    def _check(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("time", *FIELDS)}
        if len(set(lengths.values())) != 1:
            raise DataUnavailable(f"{self.symbol}: columns differ in length: {lengths}")
        if len(self) == 0:
            raise DataUnavailable(f"{self.source} holds no bars of {self.symbol} at {self.timeframe}")
        backwards = np.flatnonzero(np.diff(self.time) <= 0)
        if backwards.size:
            bar = int(backwards[0]) + 1
            raise DataUnavailable(
                f"{self.symbol}: bar {bar} ({self.date(bar)}) is not after the one before it; sort and deduplicate"
            )
        for name in FIELDS[:4]:
            wrong = np.flatnonzero(~(np.isfinite(getattr(self, name)) & (getattr(self, name) > 0)))
            if wrong.size:
                bar = int(wrong[0])
                raise DataUnavailable(
                    f"{self.symbol}: {name} of bar {bar} ({self.date(bar)}) is {getattr(self, name)[bar]}; prices must be positive numbers"
                )
        # A relative tolerance: adjusting by a factor rounds high and open differently in the last bits.
        slack = 1e-9 * self.high
        outside = np.flatnonzero(
            (np.maximum(self.open, self.close) > self.high + slack)
            | (np.minimum(self.open, self.close) < self.low - slack)
        )
        if outside.size:
            bar = int(outside[0])
            raise DataUnavailable(
                f"{self.symbol}: open or close of bar {bar} ({self.date(bar)}) lies outside its low … high"
            )
        negative = np.flatnonzero((self.volume < 0) | np.isinf(self.volume))
        if negative.size:
            raise DataUnavailable(
                f"{self.symbol}: volume of bar {int(negative[0])} ({self.date(int(negative[0]))}) is negative or infinite"
            )


def _frozen(values: object, kind: type[Any]) -> NDArray[Any]:
    array: NDArray[Any] = np.array(values, dtype=kind)
    array.setflags(write=False)
    return array
