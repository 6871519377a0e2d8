"""How large should a position be? Its side says what is believed, its size how much of it can be borne.

Targets go into the kernels of `engine`, `sweep` and `portfolio` as they come out here; nothing is lagged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, same_length, series

# A memory of about 17 bars (RiskMetrics 1996, daily).
VARIANCE_DECAY = 0.94
# A tenth more or less changes the risk by less than the estimate of it errs, and trading every day for it would cost more.
REBALANCE_BAND = 0.1


def volatility_targeted(
    target: ArrayLike,
    close: ArrayLike,
    *,
    annual_volatility: float,
    bars_per_year: float,
    max_position: float = 1.0,
    rebalance_band: float = REBALANCE_BAND,
) -> Floats:
    """`target`, scaled at each close so that what it holds is expected to vary by `annual_volatility` a year, shape (bars,).

    target: −1 … 1, its size a share of the full risk. The volatility of the next bar is estimated from returns up to this close, by
    exponentially weighted squares; before the first return nothing is held, and where no price moved yet `max_position` is. The size is
    kept until the one wanted differs from it by more than `rebalance_band` of itself, or the target changes. Raises InvalidRequest.

    Source: Moreira & Muir (2017), Volatility-Managed Portfolios, J. Finance 72(4).
    """
    wanted, closes = series(target, "target"), series(close, "close")
    same_length(target=wanted, close=closes)
    _check(wanted, closes, annual_volatility, bars_per_year, max_position, rebalance_band)
    expected = expected_volatility(closes) * np.sqrt(bars_per_year)
    with np.errstate(divide="ignore"):
        scale = np.where(expected > 0, annual_volatility / expected, np.inf)
    sized = np.where(np.isnan(expected), 0.0, np.sign(wanted) * np.minimum(max_position, np.abs(wanted) * scale))
    held, asked = 0.0, 0.0
    kept = np.empty_like(sized)
    for bar, (size, now) in enumerate(zip(sized.tolist(), wanted.tolist(), strict=True)):
        if now != asked or abs(size - held) > rebalance_band * abs(held):
            held, asked = size, now
        kept[bar] = held
    return kept


def expected_volatility(close: Floats) -> Floats:
    """Standard deviation of the next bar's log return as known at each close; NaN at the first bar, which has none."""
    squares = np.diff(np.log(close)) ** 2
    found = np.full(len(close), np.nan)
    variance = weight = 0.0
    for bar, square in enumerate(squares.tolist(), start=1):
        # Divided by the weights seen so far, so that the first estimates do not lean towards zero.
        variance = VARIANCE_DECAY * variance + (1 - VARIANCE_DECAY) * square
        weight = VARIANCE_DECAY * weight + (1 - VARIANCE_DECAY)
        found[bar] = np.sqrt(variance / weight)
    return found


def _check(
    wanted: Floats, closes: Floats, annual_volatility: float, bars_per_year: float, max_position: float, band: float
) -> None:
    if (np.abs(wanted) > 1).any():
        bar = int(np.argmax(np.abs(wanted) > 1))
        raise InvalidRequest(f"the target of bar {bar} is {wanted[bar]:g}; it must lie between −1 (short) and 1 (long)")
    if (closes <= 0).any():
        bar = int(np.argmax(closes <= 0))
        raise InvalidRequest(f"close of bar {bar} is {closes[bar]:g}; prices must be positive")
    if not annual_volatility > 0:
        raise InvalidRequest(f"annual_volatility must be positive, not {annual_volatility}")
    if not bars_per_year > 0:
        raise InvalidRequest(f"bars_per_year must be positive, not {bars_per_year}")
    if not 0 < max_position <= 1:
        raise InvalidRequest(f"max_position must lie between 0 and 1, not {max_position}")
    if not 0 <= band < 1:
        raise InvalidRequest(f"rebalance_band must lie between 0 and 1, not {band}")
