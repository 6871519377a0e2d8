"""The compiled kernels of `portfolio`, which says what they compute. A module of its own: who needs only the other kernels need not wait
for these to be compiled, which takes seconds the first time."""

from __future__ import annotations

import numpy as np
from numba import njit, types

_ROWS = types.Array(types.float64, 2, "C", readonly=True)
_OUT = types.Array(types.float64, 1, "C")
_RATE = types.float64
INVALID = -2  # in place of the bar of ruin: a price or a sum of weights that cannot be; who called says which
_WALKED = types.Tuple((_OUT, _OUT, _OUT, _OUT, _OUT, types.int64))  # type: ignore[no-untyped-call]


@njit(
    _WALKED(_ROWS, _ROWS, _ROWS, _RATE, _RATE, _RATE, _RATE, _RATE, _RATE),
    cache=True,
    error_model="numpy",
    # The order of a sum over symbols is free, which lets it use the vector unit: the numpy twin agrees to 1e-9.
    fastmath={"reassoc", "contract", "nsz"},
)
def walk_weights_compiled(opens, closes, weights, fee, slippage, borrow_per_bar, initial_equity, max_gross, margin):  # type: ignore[no-untyped-def]
    bars, symbols = closes.shape
    rate = slippage + fee * (1.0 + slippage)
    equity = np.empty(bars)
    cash_path = np.empty(bars)
    turnover = np.zeros(bars)
    paid = np.zeros(bars)
    quantity = np.zeros(symbols)
    nothing = np.zeros(symbols)
    cash = initial_equity
    at_open = 0.0
    asked = 0.0
    ruined = -1
    for bar in range(bars):
        prices = closes[bar]
        following = opens[min(bar + 1, bars - 1)]
        coming = weights[bar]
        value = 0.0
        gross = 0.0
        next_asked = 0.0
        next_at_open = 0.0
        possible = 0
        rebalanced = False
        if bar > 0:
            if not asked <= max_gross:
                return equity, cash_path, turnover, paid, quantity, INVALID
            wanted = weights[bar - 1]
            held = weights[bar - 2] if bar > 1 else nothing
            for i in range(symbols):
                if wanted[i] != held[i]:
                    rebalanced = True
                    break
        # Both loops below look at everything that lies in memory once: this close, the next open, the weights decided here. Prices are
        # counted rather than branched on, which the vector unit can do beside the rest: NaN fails each comparison.
        if rebalanced:
            filled = opens[bar]
            worth = cash + at_open
            if worth <= 0.0:
                ruined = bar
                break
            notional = 0.0
            for i in range(symbols):
                notional += abs(wanted[i] * worth - quantity[i] * filled[i])
            worth -= notional * rate * (1.0 + 2.0 * rate)
            traded = 0.0
            net = 0.0
            for i in range(symbols):
                bought_value = wanted[i] * worth
                change = bought_value - quantity[i] * filled[i]
                traded += abs(change)
                net += change
                # The division is what this loop computes longest at; meanwhile the memory below arrives.
                here = bought_value / filled[i]
                quantity[i] = here
                possible += (prices[i] > 0.0) & (prices[i] < np.inf) & (following[i] > 0.0) & (following[i] < np.inf)
                next_asked += abs(coming[i])
                next_at_open += here * following[i]
                here *= prices[i]
                value += here
                gross += abs(here)
            bought = 0.5 * (traded + net)
            sold = 0.5 * (traded - net)
            notional = bought * (1.0 + slippage) + sold * (1.0 - slippage)
            cash += sold * (1.0 - slippage) - bought * (1.0 + slippage) - notional * fee
            turnover[bar] = notional / equity[bar - 1]
            paid[bar] = notional * fee + traded * slippage
        else:
            for i in range(symbols):
                possible += (prices[i] > 0.0) & (prices[i] < np.inf) & (following[i] > 0.0) & (following[i] < np.inf)
                next_asked += abs(coming[i])
                next_at_open += quantity[i] * following[i]
                here = quantity[i] * prices[i]
                value += here
                gross += abs(here)
        at_open = next_at_open
        asked = next_asked
        if possible != symbols:
            return equity, cash_path, turnover, paid, quantity, INVALID
        borrowed = 0.5 * (gross - value) * borrow_per_bar
        cash -= borrowed
        paid[bar] += borrowed
        equity[bar] = cash + value
        cash_path[bar] = cash
        if equity[bar] <= margin * gross:
            ruined = bar
            break
    return equity, cash_path, turnover, paid, quantity, ruined
