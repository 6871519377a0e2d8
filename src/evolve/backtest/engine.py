"""What would a sequence of target positions have earned, after costs?

The convention, everywhere: a target decided at the close of bar t is filled at the open of bar t + 1. No caller lags anything.

Sizing: a target is a fraction of equity (−1 … 1). The position is resized only when the target changes; between changes the
quantity stays and its share of equity drifts with the price. At a fill, equity is valued at the open; a long position is
bounded by the cash that pays for it, slippage and fee included, so a target of 1 never borrows.
Costs: slippage worsens the price of every fill, the fee is charged on the slipped notional of all that is traded (a reversal
trades, and pays for, both the closed and the opened quantity), and a short pays borrow at each close on its value there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.cards import Costs
from evolve.errors import InvalidRequest, MissingExtra
from evolve.statistics.metric import Floats, same_length, series

Engine = Literal["numba", "numpy"]
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade at the open of `bar`. price: slipped; quantity: signed, negative sold; fee: in money."""

    bar: int
    price: float
    quantity: float
    fee: float


@dataclass(frozen=True, eq=False)
class Backtest:
    """The account at each close, all of shape (bars,), and its fills, oldest first.

    equity = cash + quantity × close. fill_bar, fill_price, fill_quantity, fill_fee, fill_slippage: shape (fills,); the last two
    in money. borrow_per_bar: rate, a fraction.
    """

    equity: Floats
    cash: Floats
    quantity: Floats
    close: Floats
    fill_bar: NDArray[np.int64]
    fill_price: Floats
    fill_quantity: Floats
    fill_fee: Floats
    fill_slippage: Floats
    borrow_per_bar: float
    initial_equity: float

    @cached_property
    def returns(self) -> Floats:
        """Simple net return of each bar; the first against the initial equity."""
        return simple_returns(self.equity, self.initial_equity)

    @cached_property
    def position(self) -> Floats:
        """The position actually held at each close, as a fraction of equity."""
        return self.quantity * self.close / self.equity

    @cached_property
    def fees(self) -> Floats:
        """Fees per bar, in money."""
        return _per_bar(self.fill_bar, self.fill_fee, len(self.equity))

    @cached_property
    def slippage(self) -> Floats:
        """What slippage cost per bar, in money."""
        return _per_bar(self.fill_bar, self.fill_slippage, len(self.equity))

    @cached_property
    def borrow(self) -> Floats:
        """What borrowing for shorts cost per bar, in money."""
        return np.maximum(0.0, -self.quantity) * self.close * self.borrow_per_bar

    @cached_property
    def turnover(self) -> Floats:
        """Notional filled in each bar, as a fraction of the equity at the close before it."""
        notional = np.abs(self.fill_quantity) * self.fill_price
        before = np.concatenate([[self.initial_equity], self.equity[:-1]])
        return _per_bar(self.fill_bar, notional / before[self.fill_bar], len(self.equity))

    @cached_property
    def costs_paid(self) -> float:
        """Fees, slippage and borrow of all bars, in money."""
        return float(self.fees.sum() + self.slippage.sum() + self.borrow.sum())

    def since(self, bar: int) -> Backtest:
        """The account from `bar` on, its equity at the close before as initial equity."""
        kept = self.fill_bar >= bar
        return Backtest(
            equity=self.equity[bar:],
            cash=self.cash[bar:],
            quantity=self.quantity[bar:],
            close=self.close[bar:],
            fill_bar=self.fill_bar[kept] - bar,
            fill_price=self.fill_price[kept],
            fill_quantity=self.fill_quantity[kept],
            fill_fee=self.fill_fee[kept],
            fill_slippage=self.fill_slippage[kept],
            borrow_per_bar=self.borrow_per_bar,
            initial_equity=float(self.equity[bar - 1]) if bar else self.initial_equity,
        )

    @cached_property
    def fills(self) -> tuple[Fill, ...]:
        columns = (self.fill_bar, self.fill_price, self.fill_quantity, self.fill_fee)
        return tuple(Fill(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class Walk:
    """What a kernel returns. ruined: the first bar whose equity was not positive, or within the margin; −1 when there is none."""

    equity: Floats
    cash: Floats
    quantity: Floats
    fill_bar: NDArray[np.int64]
    fill_price: Floats
    fill_quantity: Floats
    fill_fee: Floats
    ruined: int


def backtest_positions(
    open: ArrayLike,
    close: ArrayLike,
    target: ArrayLike,
    costs: Costs,
    *,
    bars_per_year: float,
    initial_equity: float = 1.0,
    maintenance_margin: float = 0.0,
    engine: Engine = "numba",
) -> Backtest:
    """Fill `target` and follow the account.

    open, close: positive prices, shape (bars,). target: what was decided at each close, −1 … 1, shape (bars,); the last one is
    never filled. costs: per leg; borrow is spread over `bars_per_year`. maintenance_margin: the share of its holdings' value that the
    account must be worth at every close, or its broker closes it (0.25 for US stocks held long, FINRA rule 4210); 0: it must only be
    worth something. engine "numpy": the slower reference; both agree to 1e-9.
    Raises InvalidRequest for prices or targets out of range, and, naming the bar, when the account falls to that
    margin; MissingExtra when numba cannot be imported.
    """
    opens, closes, targets = series(open, "open"), series(close, "close"), series(target, "target")
    same_length(open=opens, close=closes, target=targets)
    check_prices(opens, closes)
    _check_targets(targets)
    check_account(costs, bars_per_year, initial_equity)
    check_margin(maintenance_margin)

    borrow_per_bar = costs.borrow_bps_per_year * BPS / bars_per_year
    walk = _kernel(engine)(
        opens,
        closes,
        targets,
        costs.fee_bps * BPS,
        costs.slippage_bps * BPS,
        borrow_per_bar,
        initial_equity,
        maintenance_margin,
    )
    if walk.ruined >= 0:
        raise InvalidRequest(
            f"the account is wiped out at bar {walk.ruined}: its position of target "
            f"{targets[max(0, walk.ruined - 1)]:g} {how_lost(maintenance_margin)}; a smaller short target survives a rising price",
            bar=walk.ruined,
        )

    return Backtest(
        equity=walk.equity,
        cash=walk.cash,
        quantity=walk.quantity,
        close=closes,
        fill_bar=walk.fill_bar,
        fill_price=walk.fill_price,
        fill_quantity=walk.fill_quantity,
        fill_fee=walk.fill_fee,
        fill_slippage=np.abs(walk.fill_quantity) * np.abs(walk.fill_price - opens[walk.fill_bar]),
        borrow_per_bar=borrow_per_bar,
        initial_equity=initial_equity,
    )


def _per_bar(fill_bar: NDArray[np.int64], amounts: Floats, bars: int) -> Floats:
    return np.bincount(fill_bar, weights=amounts, minlength=bars).astype(np.float64)


def check_prices(opens: Floats, closes: Floats) -> None:
    """Raises InvalidRequest for no bars at all, and for prices that are not positive, naming the bar."""
    if not opens.size:
        raise InvalidRequest("there are no bars to trade on")
    for name, prices in (("open", opens), ("close", closes)):
        if (prices <= 0).any():
            at = np.unravel_index(int(np.argmax(prices <= 0)), prices.shape)
            of = f"symbol {int(at[1])} at bar {int(at[0])}" if prices.ndim == 2 else f"bar {int(at[0])}"
            raise InvalidRequest(f"{name} of {of} is {prices[at]:g}; prices must be positive")


def check_account(costs: Costs, bars_per_year: float, initial_equity: float) -> None:
    """Raises InvalidRequest for costs, bars per year or initial equity that cannot be."""
    for name in ("fee_bps", "slippage_bps", "borrow_bps_per_year"):
        rate = getattr(costs, name)
        if not 0 <= rate < 1 / BPS:
            raise InvalidRequest(f"{name} must lie between 0 and 10,000, not {rate}")
    if not bars_per_year > 0:
        raise InvalidRequest(f"bars_per_year must be positive, not {bars_per_year}")
    if not (initial_equity > 0 and np.isfinite(initial_equity)):
        raise InvalidRequest(f"initial_equity must be positive, not {initial_equity}")


def check_margin(maintenance_margin: float) -> None:
    """Raises InvalidRequest for a margin that is no share."""
    if not 0 <= maintenance_margin < 1:
        raise InvalidRequest(f"maintenance_margin must lie between 0 and 1, not {maintenance_margin}")


def how_lost(maintenance_margin: float) -> str:
    return "lost all equity" if maintenance_margin == 0 else f"left less than a margin of {maintenance_margin:g}"


def _check_targets(targets: Floats) -> None:
    if (np.abs(targets) > 1).any():
        bar = int(np.flatnonzero(np.abs(targets) > 1)[0])
        raise InvalidRequest(
            f"the target of bar {bar} is {targets[bar]:g}; it must lie between −1 (short) and 1 (long)"
        )


Kernel = Callable[[Floats, Floats, Floats, float, float, float, float, float], Walk]


def _kernel(engine: Engine) -> Kernel:
    if wants_numpy(engine):
        return walk_positions
    # Here, not at the top: importing numba costs about half a second, and reading a result needs none of it.
    from evolve.backtest.kernels import walk_positions_compiled

    return lambda *arguments: Walk(*walk_positions_compiled(*arguments))


def wants_numpy(engine: Engine) -> bool:
    """Whether the reference is to be used. Raises InvalidRequest for no engine of ours, MissingExtra where numba is not there."""
    if engine == "numpy":
        return True
    if engine != "numba":
        raise InvalidRequest(f"engine must be 'numba' or 'numpy', not {engine!r}")
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"numba cannot be imported ({error}); install it, or pass engine='numpy', which is slower"
        ) from error
    return False


def simple_returns(equity: Floats, initial_equity: float) -> Floats:
    """Simple net return of each bar; the first against the initial equity."""
    before = np.concatenate([[initial_equity], equity[:-1]])
    net: Floats = equity / before - 1
    return net


def walk_positions(
    opens: Floats,
    closes: Floats,
    targets: Floats,
    fee: float,
    slippage: float,
    borrow_per_bar: float,
    initial_equity: float,
    maintenance_margin: float = 0.0,
) -> Walk:
    """The reference: one step for each change of target, numpy for the bars between two changes.

    Written independently of the compiled kernel, so that agreement of the two means something.
    """
    bars = len(closes)
    equity, cash_path, quantity_path = np.empty(bars), np.empty(bars), np.empty(bars)
    changes = np.flatnonzero(np.diff(targets[:-1], prepend=0.0)) + 1
    stretches = [0, *changes.tolist(), bars]
    fills: list[tuple[int, float, float, float]] = []
    cash, quantity = initial_equity, 0.0
    for start, stop in pairwise(stretches):
        if start > 0:
            at = float(opens[start])
            value = cash + quantity * at
            if value <= 0:
                return _ruined(start, equity, cash_path, quantity_path)
            traded = float(targets[start - 1]) * value / at - quantity
            price = at * (1 + np.sign(traded) * slippage)
            if traded > 0 and targets[start - 1] > 0:
                traded = min(traded, cash / (price * (1 + fee)))
            if traded != 0:
                paid = abs(traded) * price * fee
                cash -= traded * price + paid
                quantity = 0.0 if targets[start - 1] == 0 else quantity + traded
                fills.append((start, float(price), float(traded), float(paid)))
        held = slice(start, stop)
        lent = np.cumsum(max(0.0, -quantity) * closes[held] * borrow_per_bar)
        cash_path[held] = cash - lent
        quantity_path[held] = quantity
        equity[held] = cash_path[held] + quantity * closes[held]
        cash = float(cash_path[stop - 1])
        lost = np.flatnonzero(equity[held] <= maintenance_margin * abs(quantity) * closes[held])
        if lost.size:
            return _ruined(start + int(lost[0]), equity, cash_path, quantity_path)
    columns = np.array(fills, dtype=np.float64).reshape(-1, 4)
    return Walk(
        equity,
        cash_path,
        quantity_path,
        columns[:, 0].astype(np.int64),
        columns[:, 1],
        columns[:, 2],
        columns[:, 3],
        ruined=-1,
    )


def _ruined(bar: int, equity: Floats, cash: Floats, quantity: Floats) -> Walk:
    nothing = np.empty(0)
    return Walk(equity, cash, quantity, np.empty(0, np.int64), nothing, nothing, nothing, ruined=bar)
