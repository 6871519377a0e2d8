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
    ruined = -1
    for bar in range(bars):
        if bar > 0:
            wanted = weights[bar - 1]
            asked = 0.0
            for i in range(symbols):
                asked += abs(wanted[i])
            if not asked <= max_gross:
                return equity, cash_path, turnover, paid, quantity, INVALID
            held = weights[bar - 2] if bar > 1 else nothing
            changed = False
            for i in range(symbols):
                if wanted[i] != held[i]:
                    changed = True
                    break
            if changed:
                prices = opens[bar]
                worth = cash + at_open
                if worth <= 0.0:
                    ruined = bar
                    break
                notional = 0.0
                for i in range(symbols):
                    notional += abs(wanted[i] * worth - quantity[i] * prices[i])
                worth -= notional * rate * (1.0 + 2.0 * rate)
                traded = 0.0
                net = 0.0
                for i in range(symbols):
                    value = wanted[i] * worth
                    change = value - quantity[i] * prices[i]
                    traded += abs(change)
                    net += change
                    quantity[i] = value / prices[i]
                bought = 0.5 * (traded + net)
                sold = 0.5 * (traded - net)
                notional = bought * (1.0 + slippage) + sold * (1.0 - slippage)
                cash += sold * (1.0 - slippage) - bought * (1.0 + slippage) - notional * fee
                turnover[bar] = notional / equity[bar - 1]
                paid[bar] = notional * fee + traded * slippage
        # The holdings are read once for both: their value at this close and at the next open.
        prices = closes[bar]
        following = opens[min(bar + 1, bars - 1)]
        value = 0.0
        gross = 0.0
        at_open = 0.0
        possible = 0
        for i in range(symbols):
            # Counted rather than branched on, which the vector unit can do beside the rest: NaN fails each comparison.
            possible += (prices[i] > 0.0) & (prices[i] < np.inf) & (following[i] > 0.0) & (following[i] < np.inf)
            here = quantity[i] * prices[i]
            value += here
            gross += abs(here)
            at_open += quantity[i] * following[i]
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
