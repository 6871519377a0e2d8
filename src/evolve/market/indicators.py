"""What do the last bars look like? Indicators that never see beyond the bar they describe.

Arrays of shape (bars,) in, arrays of shape (bars,) out; the value at t uses bars 0 … t only, bit for bit, and is NaN until
enough bars have passed. A NaN at the beginning of the input only delays the warm-up. Windows are whole numbers of bars.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evolve.errors import InvalidRequest
from evolve.market.bars import Floats


class Macd(NamedTuple):
    """line = fast EMA − slow EMA; signal = EMA of the line; histogram = line − signal. In price units."""

    line: Floats
    signal: Floats
    histogram: Floats


def log_returns(close: Floats) -> Floats:
    """ln(close[t] / close[t − 1]); NaN at the first bar."""
    returns = np.full(len(close), np.nan)
    returns[1:] = np.log(close[1:] / close[:-1])
    return returns


def sma(values: Floats, *, window: int) -> Floats:
    """Mean of the last `window` values; NaN where one of them is."""
    _check_window(window)
    means = np.full(len(values), np.nan)
    if len(values) >= window:
        means[window - 1 :] = _rolling_sum(values, window) / window
    return means


def ema(values: Floats, *, window: int) -> Floats:
    """Exponential mean with weight 2 / (window + 1), begun at the mean of the first `window` values."""
    return _smoothed(values, window, weight=2 / (window + 1) if window > 0 else 0.0)


def rsi(close: Floats, *, window: int = 14) -> Floats:
    """Relative strength index, 0 … 100; first value after `window` changes. 50 where no price has moved.

    Source: Wilder (1978), New Concepts in Technical Trading Systems.
    """
    change = np.full(len(close), np.nan)
    change[1:] = np.diff(close)
    gains = _wilder(np.where(change < 0, 0.0, change), window)
    losses = _wilder(np.where(change > 0, 0.0, -change), window)
    moved = gains + losses
    still = moved == 0
    return np.where(still, 50.0, 100 * gains / np.where(still, 1.0, moved))


def macd(close: Floats, *, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence/divergence. Each EMA begins at its own first mean.

    Source: Appel (1979), The Moving Average Convergence-Divergence Method.
    """
    if fast >= slow:
        raise InvalidRequest(f"macd: fast ({fast}) must be shorter than slow ({slow})")
    line = ema(close, window=fast) - ema(close, window=slow)
    smoothed = ema(line, window=signal)
    return Macd(line, smoothed, line - smoothed)


def realised_volatility(returns: Floats, *, window: int, bars_per_year: float) -> Floats:
    """Annualised volatility of the last `window` log returns, a fraction: sqrt(bars_per_year × mean of squares).

    The mean return is taken as zero: over short windows its estimate is noise far larger than itself.
    """
    return np.sqrt(bars_per_year * sma(returns * returns, window=window))


def atr(high: Floats, low: Floats, close: Floats, *, window: int = 14) -> Floats:
    """Average true range in price units: Wilder's mean of max(high − low, |high − close before|, |low − close before|).

    The first bar has no close before it and is left out. Source: Wilder (1978).
    """
    true_range = np.full(len(close), np.nan)
    before = close[:-1]
    true_range[1:] = np.maximum.reduce([high[1:] - low[1:], np.abs(high[1:] - before), np.abs(low[1:] - before)])
    return _wilder(true_range, window)


def _wilder(values: Floats, window: int) -> Floats:
    """Wilder's smoothing: weight 1 / window."""
    return _smoothed(values, window, weight=1 / window if window > 0 else 0.0)


def _smoothed(values: Floats, window: int, *, weight: float) -> Floats:
    """m[t] = m[t−1] + weight × (x[t] − m[t−1]), begun at the mean of the first `window` values that are no NaN."""
    _check_window(window)
    smoothed = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if known.size == 0 or known[0] + window > len(values):
        return smoothed
    first = int(known[0]) + window - 1
    seed = float(_rolling_sum(values[first - window + 1 : first + 1], window)[0]) / window
    # A recursion over Python floats: 25 ns a bar, without the half second that loading numba costs.
    mean = smoothed[first] = seed
    smoothed[first + 1 :] = [mean := mean + weight * (value - mean) for value in values[first + 1 :].tolist()]
    return smoothed


def _rolling_sum(values: Floats, window: int) -> Floats:
    """Sums of `window` consecutive values, shape (bars − window + 1,).

    Added in a fixed order, oldest first. A running sum would carry rounding and NaN along; a reduction over a strided view may
    change its order with the array's length, so that later bars would move the last bits of earlier values.
    """
    count = len(values) - window + 1
    total = values[:count].astype(np.float64)
    for offset in range(1, window):
        total += values[offset : offset + count]
    return total


def _check_window(window: int) -> None:
    if window < 1:
        raise InvalidRequest(f"a window of {window} bars is impossible; use at least 1")
