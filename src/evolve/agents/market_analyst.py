"""What is a symbol doing? Trend, volatility, drawdown, volume, as figures with their sources; and several symbols side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolve.agents.figures import BAND_LEVEL, BAND_Z
from evolve.evidence import Evidence, EvidenceBook, Unit
from evolve.market import indicators
from evolve.market.bars import Bars, Floats

# Windows in bars, as chart readers use them; a month and a year are as many bars as the venue trades in one.
VOLATILITY_BARS = 21
RSI_BARS = 14
TREND_BARS, SLOW_TREND_BARS = 50, 200
MIN_COMMON = 63  # bars of two symbols: a quarter of daily ones; fewer make a correlation of accidents
MIN_READINGS = 63  # of volatility, before one can be called high or low
NORMAL_LOW, NORMAL_HIGH = 0.25, 0.75  # percentiles between which volatility counts as ordinary


def describe(bars: Bars, period_days: int, book: EvidenceBook) -> dict[str, Evidence]:
    """Figures of one symbol over the last `period_days` of its bars; what too few bars cannot give has a note instead."""
    found: dict[str, Evidence] = {}

    def add(name: str, value: float | None, unit: Unit, computed: str, *, needs: int, note: str = "") -> None:
        note = "" if value is not None else note or f"needs {needs} bars, there are {len(bars)}"
        found[name] = book.add(
            name, bars.symbol, value, unit, as_of=bars.date(-1), source=bars.source, computed=computed, note=note
        )

    month, year = round(bars.bars_per_year / 12), round(bars.bars_per_year)
    stretch = bars.close[-(bars.bars_within(period_days) + 1) :]
    add("last_close", float(bars.close[-1]), "price", "close of the last bar", needs=1)
    over = min(bars.bars_within(period_days), len(bars) - 1)
    add(
        "period_return",
        _return_over(bars.close, over),
        "fraction",
        f"close to close over the last {over} bars",
        needs=2,
    )
    for name, span in (("month_return", month), ("year_return", year)):
        add(name, _return_over(bars.close, span), "fraction", f"close to close over {span} bars", needs=span + 1)
    for span in (TREND_BARS, SLOW_TREND_BARS):
        average = _known(indicators.sma(bars.close, window=span)[-1])
        above = None if average is None else float(bars.close[-1]) / average - 1
        add(f"above_average_{span}", above, "fraction", f"last close over its {span}-bar mean, less one", needs=span)
    volatility = indicators.realised_volatility(
        indicators.log_returns(bars.close), window=VOLATILITY_BARS, bars_per_year=bars.bars_per_year
    )
    readings = volatility[np.isfinite(volatility)]
    last, needs = _known(volatility[-1]), VOLATILITY_BARS + 1
    add("volatility", last, "fraction", f"realised over {VOLATILITY_BARS} bars, annualised", needs=needs)
    rank = float((readings <= readings[-1]).mean()) if readings.size >= MIN_READINGS else None
    add("volatility_rank", rank, "fraction", "share of all readings so far that were no higher", needs=needs + MIN_READINGS - 1)  # fmt: skip
    from_high = float(bars.close[-1] / bars.close[-year:].max() - 1) if len(bars) >= year else None
    add("from_high", from_high, "fraction", f"last close below the highest of {year} bars", needs=year)
    fall = float((stretch / np.maximum.accumulate(stretch) - 1).min()) if len(stretch) > 1 else None
    add("period_drawdown", fall, "fraction", "deepest fall from a peak within the period", needs=2)
    strength = _known(indicators.rsi(bars.close, window=RSI_BARS)[-1])
    add("rsi_14", strength, "ratio", f"Wilder's RSI over {RSI_BARS} bars", needs=RSI_BARS + 1)
    computed = f"mean volume of {month} bars over that of {year}"
    add(
        "volume_ratio", _volume_ratio(bars, month, year), "ratio", computed, needs=year, note="too few bars with volume"
    )
    add("period_high", float(stretch.max()), "price", "highest close of the period", needs=1)
    add("period_low", float(stretch.min()), "price", "lowest close of the period", needs=1)
    add("year_high", float(bars.close[-year:].max()) if len(bars) >= year else None, "price", f"highest close of {year} bars", needs=year)  # fmt: skip
    add("year_low", float(bars.close[-year:].min()) if len(bars) >= year else None, "price", f"lowest close of {year} bars", needs=year)  # fmt: skip
    found["next_close"] = _next_close(bars, last, book)
    return found


def _next_close(bars: Bars, volatility: float | None, book: EvidenceBook) -> Evidence:
    """No change is expected; the band is what the latest realised volatility makes likely, as if returns were normal."""
    close = float(bars.close[-1])
    spread = None if volatility is None else BAND_Z * volatility / float(np.sqrt(bars.bars_per_year))
    return book.add(
        "next_close", bars.symbol, None if spread is None else close, "price", as_of=bars.date(-1), source=bars.source,
        computed=f"last close, no change expected; 90 % band by the volatility of the last {VOLATILITY_BARS} bars",
        low=None if spread is None else close * float(np.exp(-spread)),
        high=None if spread is None else close * float(np.exp(spread)),
        level=None if spread is None else BAND_LEVEL,
        note="" if spread is not None else f"needs {VOLATILITY_BARS + 1} bars",
    )  # fmt: skip


def correlations(bars: Bars, others: Sequence[Bars], book: EvidenceBook) -> list[Evidence]:
    """Correlation of log returns with each other symbol over the last year of bars that both have; highest first."""
    year = round(bars.bars_per_year)
    found: list[Evidence] = []
    for other in others:
        _, mine, theirs = np.intersect1d(bars.time, other.time, assume_unique=True, return_indices=True)
        if len(mine) <= MIN_COMMON:
            continue
        mine, theirs = mine[-year - 1 :], theirs[-year - 1 :]
        one, two = np.diff(np.log(bars.close[mine])), np.diff(np.log(other.close[theirs]))
        if one.std() == 0 or two.std() == 0:
            continue
        value = float(np.corrcoef(one, two)[0, 1])
        found.append(
            book.add(
                "correlation", other.symbol, value, "ratio", as_of=bars.date(int(mine[-1])), source=bars.source,
                computed=f"of log returns with {bars.symbol} over {len(one)} common bars",
            )
        )  # fmt: skip
    return sorted(found, key=lambda item: -float(item.value or 0.0))


def _return_over(close: Floats, span: int) -> float | None:
    return float(close[-1] / close[-1 - span] - 1) if 0 < span < len(close) else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _volume_ratio(bars: Bars, month: int, year: int) -> float | None:
    recent, past = bars.volume[-month:], bars.volume[-year:]
    if len(past) < year or np.isnan(past).any() or past.mean() <= 0:
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
    """Return, volatility and drawdown of each symbol over the period, best return first; without one, last."""

    def worst_last(found: dict[str, Evidence]) -> float:
        value = found["period_return"].value
        return -value if isinstance(value, float) else np.inf

    return sorted((describe(bars, period_days, book) for bars in everything), key=worst_last)
