"""What is a symbol doing? Trend, volatility, drawdown, volume, as figures with their sources; and several symbols side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.market import indicators
from evolve.market.bars import Bars

# Windows in bars, as chart readers use them: about a month, a quarter and a year of days.
SHORT_BARS, MIDDLE_BARS, LONG_BARS = 21, 63, 252
TREND_BARS, SLOW_TREND_BARS = 50, 200
NORMAL_LOW, NORMAL_HIGH = 0.25, 0.75  # percentiles between which volatility counts as ordinary


def describe(bars: Bars, period_days: int, book: EvidenceBook) -> dict[str, Evidence]:
    """Figures of one symbol over the last `period_days` of its bars; what too few bars cannot give has a note instead."""
    found: dict[str, Evidence] = {}

    def add(name: str, value: float | None, unit: Unit, computed: str, note: str = "") -> None:
        found[name] = book.add(
            name, bars.symbol, value, unit, as_of=bars.date(-1), source=bars.source, computed=computed, note=note
        )

    window = max(2, min(bars.bars_within(period_days) + 1, len(bars)))
    stretch = bars.close[-window:]
    add("last_close", float(bars.close[-1]), "price", "close of the last bar")
    add(
        "period_return",
        float(stretch[-1] / stretch[0] - 1),
        "fraction",
        f"close to close over the last {window - 1} bars",
    )
    for name, span in (("month_return", SHORT_BARS), ("year_return", LONG_BARS)):
        enough = len(bars) > span
        value = float(bars.close[-1] / bars.close[-1 - span] - 1) if enough else None
        add(name, value, "fraction", f"close to close over {span} bars", "" if enough else f"needs {span + 1} bars")
    for span in (TREND_BARS, SLOW_TREND_BARS):
        average = indicators.sma(bars.close, window=span)
        known = bool(np.isfinite(average[-1]))
        value = float(bars.close[-1] / average[-1] - 1) if known else None
        add(f"above_average_{span}", value, "fraction", f"last close over its {span}-bar mean, less one", "" if known else f"needs {span} bars")  # fmt: skip
    volatility = indicators.realised_volatility(
        indicators.log_returns(bars.close), window=SHORT_BARS, bars_per_year=bars.bars_per_year
    )
    known_volatility = volatility[np.isfinite(volatility)]
    if known_volatility.size:
        add("volatility", float(known_volatility[-1]), "fraction", f"realised over {SHORT_BARS} bars, annualised")
        rank = float((known_volatility <= known_volatility[-1]).mean())
        add("volatility_rank", rank, "fraction", "share of all past readings that were no higher")
    else:
        add("volatility", None, "fraction", "realised", f"needs {SHORT_BARS + 1} bars")
        add("volatility_rank", None, "fraction", "rank", f"needs {SHORT_BARS + 1} bars")
    peak = float(bars.close[-LONG_BARS:].max())
    add(
        "from_high",
        float(bars.close[-1] / peak - 1),
        "fraction",
        f"last close below the highest of {min(LONG_BARS, len(bars))} bars",
    )
    running = np.maximum.accumulate(stretch)
    add(
        "period_drawdown",
        float((stretch / running - 1).min()),
        "fraction",
        "deepest fall from a peak within the period",
    )
    strength = indicators.rsi(bars.close)
    known = bool(np.isfinite(strength[-1]))
    add(
        "rsi_14",
        float(strength[-1]) if known else None,
        "ratio",
        "Wilder's RSI over 14 bars",
        "" if known else "needs 15 bars",
    )
    volume = _volume_ratio(bars)
    add("volume_ratio", volume, "ratio", f"mean volume of {SHORT_BARS} bars over that of {LONG_BARS}", "" if volume is not None else "too few bars with volume")  # fmt: skip
    return found


def _volume_ratio(bars: Bars) -> float | None:
    recent, past = bars.volume[-SHORT_BARS:], bars.volume[-LONG_BARS:]
    if len(past) < LONG_BARS or np.isnan(past).any() or past.mean() <= 0:
        return None
    return float(recent.mean() / past.mean())


def regime(found: dict[str, Evidence]) -> tuple[str, str]:
    """Trend and volatility in words: (up | down | sideways | unknown, calm | ordinary | wild | unknown)."""
    fast, slow = found[f"above_average_{TREND_BARS}"].value, found[f"above_average_{SLOW_TREND_BARS}"].value
    if not isinstance(fast, float) or not isinstance(slow, float):
        trend = "unknown"
    elif fast > 0 and slow > 0:
        trend = "up"
    elif fast < 0 and slow < 0:
        trend = "down"
    else:
        trend = "sideways"
    rank = found["volatility_rank"].value
    if not isinstance(rank, float):
        return trend, "unknown"
    return trend, "calm" if rank < NORMAL_LOW else "wild" if rank > NORMAL_HIGH else "ordinary"


def rank_symbols(everything: Sequence[Bars], period_days: int, book: EvidenceBook) -> list[dict[str, Evidence]]:
    """Return, volatility and drawdown of each symbol over the period, best return first."""
    described = [describe(bars, period_days, book) for bars in everything]
    return sorted(described, key=lambda found: -float(found["period_return"].value or 0.0))
