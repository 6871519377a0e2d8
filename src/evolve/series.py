"""Which numbers does a chart on a page draw? Bars, decisions, bands, equity and months as columns, ready for JSON.

Times are Unix seconds, UTC, oldest first; columns of one value have one length. Prices and growth keep six digits, which is more than
a screen shows; figures that an answer states are `Evidence`, never read off these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Candles:
    """Bars by column. volume: None where the source has none."""

    time: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    volume: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A bar at which the model's position began to be held ("buy") or was given up or turned ("sell"), out of sample."""

    time: int
    side: Literal["buy", "sell"]


@dataclass(frozen=True, slots=True)
class Band:
    """Where the model expected the close with probability `level`, at the times of its fan."""

    level: float
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ForecastFan:
    """Forecasts at the bar each is for; the last ones lie beyond the data. horizon_bars: how much earlier they were made."""

    time: tuple[int, ...]
    centre: tuple[float, ...]
    bands: tuple[Band, ...]
    horizon_bars: int


@dataclass(frozen=True, slots=True)
class EquityLine:
    """Growth of 1 net of costs and its drawdown (0 or a negative fraction), at the times of the tested stretch."""

    name: str
    kind: Literal["model", "baseline"]
    equity: tuple[float, ...]
    drawdown: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MonthsOfYear:
    """Returns of a year by month, January first; None where nothing was tested. whole: of the months there are."""

    year: int
    months: tuple[float | None, ...]
    whole: float


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """What there is to draw about a model or a symbol; of a symbol only candles. tested: times of `lines`."""

    about: str
    symbol: str
    timeframe: str
    source: str
    currency: str
    simulated: bool
    candles: Candles
    decisions: tuple[Decision, ...] = ()
    fan: ForecastFan | None = None
    tested: tuple[int, ...] = ()
    lines: tuple[EquityLine, ...] = ()
    months: tuple[MonthsOfYear, ...] = ()
