"""The compiled kernels of `sweep`, which says what they compute. A module of its own: who needs only the other kernels need not wait
for these to be compiled, which takes seconds the first time."""

from __future__ import annotations

import numpy as np
from numba import njit, types

_PRICES = types.Array(types.float64, 1, "A", readonly=True)
_ROWS = types.Array(types.float64, 2, "C", readonly=True)
_OUT_ROWS = types.Array(types.float64, 2, "C")
_PAIRS = types.Array(types.int64, 2, "C", readonly=True)
_RATE = types.float64
_SUMMARY = 8  # total return, sum and sum of squares of returns, drawdown, fills, bars held, turnover, bar of ruin


@njit(inline="never", error_model="numpy")
def _summarise(opens, closes, target, fee, slippage, borrow_per_bar, returns, found):  # type: ignore[no-untyped-def]
    """The walk of `walk_positions_compiled` from an equity of 1, summed up in one pass instead of written down."""
    bars = closes.size
    keep = returns.size > 0
    cash = 1.0
    quantity = 0.0
    wanted = 0.0
    before = 1.0
    peak = 1.0
    deepest = 0.0
    total = 0.0
    squares = 0.0
    turnover = 0.0
    fills = 0
    held = 0
    for bar in range(bars):
        if bar > 0 and target[bar - 1] != wanted:
            wanted = target[bar - 1]
            at = opens[bar]
            worth = cash + quantity * at
            traded = wanted * worth / at - quantity
            price = at * (1.0 + slippage) if traded > 0.0 else at * (1.0 - slippage)
            if wanted > 0.0:
                affordable = cash / (price * (1.0 + fee))
                if traded > affordable:
                    traded = affordable
            if traded != 0.0 and worth > 0.0:
                cash -= traded * price + abs(traded) * price * fee
                quantity = quantity + traded if wanted != 0.0 else 0.0
                turnover += abs(traded) * price / before
                fills += 1
            if worth <= 0.0:
                cash = -1.0
                quantity = 0.0
        worth = cash
        if quantity != 0.0:
            if quantity < 0.0:
                cash += quantity * closes[bar] * borrow_per_bar
            worth = cash + quantity * closes[bar]
            held += 1
        if worth <= 0.0:
            found[0] = -1.0
            found[1:7] = np.nan
            found[3] = -1.0
            found[7] = bar
            if keep:
                returns[:] = np.nan
            return
        net = worth / before - 1.0
        if keep:
            returns[bar] = net
        total += net
        squares += net * net
        if worth > peak:
            peak = worth
        elif worth / peak - 1.0 < deepest:
            deepest = worth / peak - 1.0
        before = worth
    found[0] = before - 1.0
    found[1] = total
    found[2] = squares
    found[3] = deepest
    found[4] = fills
    found[5] = held
    found[6] = turnover
    found[7] = -1.0


@njit(
    _OUT_ROWS(_PRICES, _PRICES, _ROWS, _RATE, _RATE, _RATE, _OUT_ROWS),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def sweep_targets_compiled(opens, closes, targets, fee, slippage, borrow_per_bar, returns):  # type: ignore[no-untyped-def]
    found = np.empty((targets.shape[0], _SUMMARY))
    nothing = np.empty(0)
    for row in range(targets.shape[0]):
        kept = returns[row] if returns.shape[0] else nothing
        _summarise(opens, closes, targets[row], fee, slippage, borrow_per_bar, kept, found[row])
    return found


@njit(
    _OUT_ROWS(_PRICES, _PRICES, _ROWS, _PAIRS, _RATE, _RATE, _RATE, _RATE, _OUT_ROWS),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def sweep_crossovers_compiled(opens, closes, lines, pairs, below, fee, slippage, borrow_per_bar, returns):  # type: ignore[no-untyped-def]
    bars = closes.size
    found = np.empty((pairs.shape[0], _SUMMARY))
    nothing = np.empty(0)
    target = np.empty(bars)
    for row in range(pairs.shape[0]):
        upper = lines[pairs[row, 0]]
        lower = lines[pairs[row, 1]]
        for bar in range(bars):
            # Comparisons with NaN are false: before a line begins there is no position.
            target[bar] = 1.0 if upper[bar] > lower[bar] else (below if upper[bar] < lower[bar] else 0.0)
        kept = returns[row] if returns.shape[0] else nothing
        _summarise(opens, closes, target, fee, slippage, borrow_per_bar, kept, found[row])
    return found
