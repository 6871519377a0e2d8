"""What would a portfolio of target weights have earned, after costs? Many symbols, one account; the convention of `engine`.

Weights decided at the close of bar t are filled at the open of bar t + 1. Where the weights of a bar equal those before it nothing
is traded and the holdings drift. Sizing: at a fill, equity is valued at the opens, and what the fills themselves will cost is put
aside first, so that weights that sum to 1 leave no debt. Costs: slippage on the price and the fee on the slipped notional of all
that is traded, borrow on short holdings at each close.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from evolve.backtest.engine import (
    BPS,
    Engine,
    check_account,
    check_margin,
    check_prices,
    how_lost,
    simple_returns,
    wants_numpy,
)
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.statistics.metric import Floats, table


@dataclass(frozen=True, eq=False)
class Portfolio:
    """The account at each close, all of shape (bars,); quantity: holdings at the last close, shape (symbols,).

    turnover: notional filled as a fraction of the equity at the close before; paid: fees, slippage and borrow, in money.
    """

    equity: Floats
    cash: Floats
    turnover: Floats
    paid: Floats
    quantity: Floats
    initial_equity: float

    @cached_property
    def returns(self) -> Floats:
        """Simple net return of each bar; the first against the initial equity."""
        return simple_returns(self.equity, self.initial_equity)

    @property
    def costs_paid(self) -> float:
        """Fees, slippage and borrow of all bars, in money."""
        return float(self.paid.sum())


def backtest_portfolio(
    open: ArrayLike,
    close: ArrayLike,
    weights: ArrayLike,
    costs: Costs,
    *,
    bars_per_year: float,
    initial_equity: float = 1.0,
    max_leverage: float = 1.0,
    maintenance_margin: float = 0.0,
    engine: Engine = "numba",
) -> Portfolio:
    """Fill `weights` and follow the account.

    open, close: positive prices, shape (bars, symbols); weights: fractions of equity decided at each close, negative for short,
    of the same shape. max_leverage: the most that the absolute weights of a bar may sum to; above 1 cash may become debt, which
    is free here, so that its cost must be added by who wants it. maintenance_margin: as in `backtest_positions`, of the holdings' sizes
    together. Raises InvalidRequest for prices or weights out of range, and,
    naming the bar, when the account loses everything or falls to that margin; MissingExtra when numba cannot be imported.
    """
    # Looked at once for all by the kernel; these full passes would cost several times what the backtest does.
    opens, closes, wanted = (np.asarray(values, dtype=np.float64) for values in (open, close, weights))
    if opens.ndim != 2 or not opens.size or not opens.shape == closes.shape == wanted.shape:
        raise InvalidRequest(
            f"open, close and weights must have one shape (bars, symbols), not {opens.shape}, {closes.shape} and {wanted.shape}"
        )
    check_account(costs, bars_per_year, initial_equity)
    check_margin(maintenance_margin)
    if not 0 < max_leverage < np.inf:
        raise InvalidRequest(f"max_leverage must be positive, not {max_leverage}")
    # Weights that were divided by their sum add up to 1 within rounding, not exactly.
    max_gross = max_leverage * (1 + 1e-9)
    borrow_per_bar = costs.borrow_bps_per_year * BPS / bars_per_year
    rates = (costs.fee_bps * BPS, costs.slippage_bps * BPS, borrow_per_bar, initial_equity)
    if wants_numpy(engine):
        _check(opens, closes, wanted, max_gross, max_leverage)
        equity, cash, turnover, paid, quantity, ruined = walk_weights(opens, closes, wanted, *rates, maintenance_margin)
    else:
        from evolve.backtest.portfolio_kernels import INVALID, walk_weights_compiled

        equity, cash, turnover, paid, quantity, ruined = walk_weights_compiled(
            np.ascontiguousarray(opens),
            np.ascontiguousarray(closes),
            np.ascontiguousarray(wanted),
            *rates,
            max_gross,
            maintenance_margin,
        )
        if ruined == INVALID:
            _check(opens, closes, wanted, max_gross, max_leverage)
            raise InvalidRequest("prices or weights cannot be traded")
        # Nothing is filled at the first open, nor are the last weights: the kernel looks at neither.
        _check(opens[:1], closes[:1], wanted[-1:], max_gross, max_leverage, first=len(wanted) - 1)
    if ruined >= 0:
        raise InvalidRequest(
            f"the account is wiped out at bar {ruined}: its holdings {how_lost(maintenance_margin)}; smaller short weights or less leverage survive",
            bar=ruined,
        )
    return Portfolio(equity, cash, turnover, paid, quantity, initial_equity)


Walked = tuple[Floats, Floats, Floats, Floats, Floats, int]


def _check(
    opens: Floats, closes: Floats, weights: Floats, max_gross: float, max_leverage: float, *, first: int = 0
) -> None:
    """Raises InvalidRequest naming the first price or weights that cannot be. first: the bar of the first row."""
    for name, values in (("open", opens), ("close", closes), ("weights", weights)):
        table(values, name)
    check_prices(opens, closes)
    gross = np.abs(weights).sum(axis=1)
    if (gross > max_gross).any():
        bar = int(np.argmax(gross > max_gross))
        raise InvalidRequest(
            f"the absolute weights of bar {first + bar} sum to {gross[bar]:g}; at most max_leverage={max_leverage:g} is allowed"
        )


def walk_weights(
    opens: Floats,
    closes: Floats,
    weights: Floats,
    fee: float,
    slippage: float,
    borrow_per_bar: float,
    initial_equity: float,
    margin: float = 0.0,
) -> Walked:
    """The reference: one step per bar, numpy over the symbols."""
    bars, symbols = closes.shape
    equity, cash_path, turnover, paid = np.empty(bars), np.empty(bars), np.zeros(bars), np.zeros(bars)
    quantity = np.zeros(symbols)
    cash = initial_equity
    held = np.zeros(symbols)  # the weights that the holdings were last traded to
    for bar in range(bars):
        if bar > 0 and (weights[bar - 1] != held).any():
            held = weights[bar - 1]
            holdings = quantity * opens[bar]
            worth = cash + holdings.sum()
            if worth <= 0:
                return equity, cash_path, turnover, paid, quantity, bar
            aside = reserve(np.abs(held * worth - holdings).sum(), fee, slippage)
            value = held * (worth - aside)
            change = value - holdings
            bought, sold = change[change > 0].sum(), -change[change < 0].sum()
            fees = (bought * (1 + slippage) + sold * (1 - slippage)) * fee
            cash += sold * (1 - slippage) - bought * (1 + slippage) - fees
            quantity = value / opens[bar]
            before = equity[bar - 1]
            turnover[bar] = (bought * (1 + slippage) + sold * (1 - slippage)) / before
            paid[bar] = fees + (bought + sold) * slippage
        holdings = quantity * closes[bar]
        borrowed = -holdings[holdings < 0].sum() * borrow_per_bar
        cash -= borrowed
        paid[bar] += borrowed
        equity[bar] = cash + holdings.sum()
        cash_path[bar] = cash
        if equity[bar] <= margin * np.abs(holdings).sum():
            return equity, cash_path, turnover, paid, quantity, bar
    return equity, cash_path, turnover, paid, quantity, -1


def reserve(notional: float, fee: float, slippage: float) -> float:
    """What is put aside for the fills of a rebalancing that trades `notional` at the opens.

    A little more than they cost: the smaller equity that is left to trade to sells more of what is sold, by the cost's own size.
    """
    rate = slippage + fee * (1 + slippage)
    return notional * rate * (1 + 2 * rate)
