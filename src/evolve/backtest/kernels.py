"""The compiled kernels of `engine`, which says what they compute. Importing this module imports numba and compiles (or loads) them."""

from __future__ import annotations

import numpy as np
from numba import njit, types

# One signature for read-only and writable arrays alike (numba accepts both where read-only is declared): one entry in the cache.
_PRICES = types.Array(types.float64, 1, "A", readonly=True)
_OUT = types.Array(types.float64, 1, "C")
_RESULT = types.Tuple((_OUT, _OUT, _OUT, types.Array(types.int64, 1, "C"), _OUT, _OUT, _OUT, types.int64))  # type: ignore[no-untyped-call]


@njit(
    _RESULT(_PRICES, _PRICES, _PRICES, *[types.float64] * 5),
    cache=True,
    error_model="numpy",
)
def walk_positions_compiled(opens, closes, targets, fee, slippage, borrow_per_bar, initial_equity, maintenance_margin):  # type: ignore[no-untyped-def]
    bars = closes.size
    changes = 0
    wanted = 0.0
    for bar in range(bars - 1):
        if targets[bar] != wanted:
            wanted = targets[bar]
            changes += 1

    equity = np.empty(bars)
    cash_path = np.empty(bars)
    quantity_path = np.empty(bars)
    fill_bar = np.empty(changes, np.int64)
    fill_price = np.empty(changes)
    fill_quantity = np.empty(changes)
    fill_fee = np.empty(changes)

    cash = initial_equity
    quantity = 0.0
    wanted = 0.0
    fills = 0
    ruined = -1
    for bar in range(bars):
        if bar > 0 and targets[bar - 1] != wanted:
            wanted = targets[bar - 1]
            at = opens[bar]
            worth = cash + quantity * at
            if worth <= 0.0:
                ruined = bar
                break
            traded = wanted * worth / at - quantity
            price = at * (1.0 + slippage) if traded > 0.0 else at * (1.0 - slippage)
            if wanted > 0.0:
                affordable = cash / (price * (1.0 + fee))
                if traded > affordable:
                    traded = affordable
            if traded != 0.0:
                paid = abs(traded) * price * fee
                cash -= traded * price + paid
                quantity = quantity + traded if wanted != 0.0 else 0.0
                fill_bar[fills] = bar
                fill_price[fills] = price
                fill_quantity[fills] = traded
                fill_fee[fills] = paid
                fills += 1
        at_close = closes[bar]
        if quantity < 0.0:
            cash += quantity * at_close * borrow_per_bar
        worth = cash + quantity * at_close
        equity[bar] = worth
        cash_path[bar] = cash
        quantity_path[bar] = quantity
        if worth <= maintenance_margin * abs(quantity) * at_close:
            ruined = bar
            break
    return (
        equity,
        cash_path,
        quantity_path,
        fill_bar[:fills],
        fill_price[:fills],
        fill_quantity[:fills],
        fill_fee[:fills],
        ruined,
    )
