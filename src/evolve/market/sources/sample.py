"""Which real bars come with the installation? Daily bars of AAPL, MSFT, GOOG and IBM up to 2013-03-01.

They lie in the package `bokeh-sampledata` (public domain, from Quandl WIKI Prices). Read directly: that package's own loaders
need pandas. Its FB series (196 bars) is left out: too short to learn from.
"""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources

import numpy as np

from evolve.errors import DataUnavailable
from evolve.market.bars import Bars
from evolve.market.calendar import bars_per_year
from evolve.market.resample import Columns
from evolve.market.sources import adjust
from evolve.market.sources.base import BarSpec, Progress, Span, unheard, within
from evolve.market.types import Timeframe

# Symbol asked for → series in the file. Until 2014 Google had one listed share class; the package files it under GOOG,
# its origin under GOOGL.
SERIES = {"AAPL": "AAPL", "GOOG": "GOOG", "GOOGL": "GOOG", "IBM": "IBM", "MSFT": "MSFT"}
TIMEFRAME: Timeframe = "1d"
HEADER = ["Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close"]
REINSTALL = "install it again: pip install -r requirements.txt"


class SampleSource:
    """Real daily bars, adjusted. Without network, the same on every machine."""

    name = "bokeh-sampledata"

    def symbols(self) -> list[BarSpec]:
        return [BarSpec(symbol, TIMEFRAME) for symbol in sorted(SERIES)]

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Adjusted daily bars. Raises DataUnavailable for any other symbol or timeframe, or when the package is broken."""
        series = SERIES.get(spec.symbol)
        if series is None or spec.timeframe != TIMEFRAME:
            raise DataUnavailable(
                f"the bundled sample holds no {spec.timeframe} bars of {spec.symbol}; it has {TIMEFRAME} bars of {', '.join(sorted(SERIES))}"
            )
        columns = _adjusted_series(series)
        last = datetime.fromtimestamp(int(columns.time[-1]) / 1000, UTC)
        notes = [f"real bars from the bundled sample, which ends on {last:%Y-%m-%d}", adjust.NOTE]
        if spec.symbol != series:
            notes.insert(
                0, f"{spec.symbol} is served from the sample's {series} series (one listed share class until 2014)"
            )
        bars = Bars(
            symbol=spec.symbol,
            timeframe=TIMEFRAME,
            time=columns.time,
            open=columns.open,
            high=columns.high,
            low=columns.low,
            close=columns.close,
            volume=columns.volume,
            source=self.name,
            bars_per_year=bars_per_year(spec.symbol, TIMEFRAME),
            notes=tuple(notes),
        )
        return within(bars, span)


@lru_cache(maxsize=len(SERIES))
def _adjusted_series(series: str) -> Columns:
    rows = [row[1:] for row in _rows() if row[0] == series]
    if not rows:
        raise DataUnavailable(f"bokeh-sampledata holds no series {series}; {REINSTALL}")
    days = np.array([row[0] for row in rows], dtype="datetime64[D]")
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    open_, high, low, close, volume, adjusted_close = values.T
    raw = Columns(days.astype("datetime64[ms]").astype(np.int64), open_, high, low, close, volume)
    return adjust.adjusted(raw, adjusted_close)


def _rows() -> list[list[str]]:
    try:
        packed = (resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise DataUnavailable(
            f"the bundled sample (package bokeh-sampledata, file stocks.csv.gz) is missing; {REINSTALL}"
        ) from None
    header, *rows = csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    if header != HEADER:
        raise DataUnavailable(
            f"this version of bokeh-sampledata lays out its stocks differently ({', '.join(header)}); {REINSTALL}"
        )
    return rows
