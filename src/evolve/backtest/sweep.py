"""Which of a thousand parameter sets would have earned what? The convention and the costs of `engine`, one summary per set.

Every set is a trial: whoever picks the best of a sweep must count them all (see `significance`), so `Sweep.sets` says how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.backtest.engine import BPS, Engine, check_account, check_prices, simple_returns, walk_positions, wants_numpy
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.statistics.metric import ROUNDING, Floats, same_length, series


@dataclass(frozen=True, eq=False)
class Sweep:
    """One entry per parameter set, all of shape (sets,).

    total_return, drawdown: fractions; sharpe: annualised, NaN where the returns do not vary; trades: fills; exposure: share of bars
    with a position at the close; turnover: notional filled, in multiples of the equity before; ruined: the bar that took all
    equity, −1 for none; a ruined set has return and drawdown −1 and NaN for the rest. returns: shape (bars, sets), or None.
    """

    total_return: Floats
    sharpe: Floats
    drawdown: Floats
    trades: NDArray[np.int64]
    exposure: Floats
    turnover: Floats
    ruined: NDArray[np.int64]
    returns: Floats | None

    @property
    def sets(self) -> int:
        return len(self.total_return)


def sweep_targets(
    open: ArrayLike,
    close: ArrayLike,
    targets: ArrayLike,
    costs: Costs,
    *,
    bars_per_year: float,
    keep_returns: bool = False,
    engine: Engine = "numba",
) -> Sweep:
    """Each row of `targets`, shape (sets, bars), as `backtest_positions` would fill it.

    Raises as that does for prices, targets and costs; a set that loses everything is marked `ruined`, and the others stand.
    """
    opens, closes = _prices(open, close)
    table = np.ascontiguousarray(np.atleast_2d(np.asarray(targets, dtype=np.float64)))
    if table.ndim != 2 or table.shape[1] != len(closes) or not len(table):
        raise InvalidRequest(f"targets must have shape (sets, {len(closes)}), one row per set, not {np.shape(targets)}")
    if not (np.abs(table) <= 1).all():
        row, bar = (int(at[0]) for at in np.nonzero(~(np.abs(table) <= 1)))
        raise InvalidRequest(
            f"the target of set {row} at bar {bar} is {table[row, bar]:g}; it must lie between −1 (short) and 1 (long)"
        )
    rates = _rates(costs, bars_per_year)
    returns = np.empty((len(table), len(closes)) if keep_returns else (0, 0))
    if wants_numpy(engine):
        summary = np.stack(
            [_summary(opens, closes, row, rates, _row(returns, number)) for number, row in enumerate(table)]
        )
    else:
        from evolve.backtest.sweep_kernels import sweep_targets_compiled

        summary = sweep_targets_compiled(opens, closes, table, *rates, returns)
    return _sweep(summary, returns, len(closes), bars_per_year, keep_returns)


def sweep_crossovers(
    open: ArrayLike,
    close: ArrayLike,
    lines: ArrayLike,
    pairs: ArrayLike,
    costs: Costs,
    *,
    bars_per_year: float,
    short: bool = False,
    keep_returns: bool = False,
    engine: Engine = "numba",
) -> Sweep:
    """Long while one line is above another, for each of many pairs of lines: moving averages, a price and a band, an index and 50.

    lines: shape (lines, bars), NaN before a line begins: no position then. pairs: shape (sets, 2), indices of the line that must be
    above and the one that must be below. short: −1 instead of 0 where it is below. Raises as `sweep_targets` does.
    """
    opens, closes = _prices(open, close)
    table = np.ascontiguousarray(np.atleast_2d(np.asarray(lines, dtype=np.float64)))
    if table.ndim != 2 or table.shape[1] != len(closes):
        raise InvalidRequest(f"lines must have shape (lines, {len(closes)}), not {np.shape(lines)}")
    chosen = np.asarray(pairs)
    if chosen.ndim != 2 or chosen.shape[1] != 2 or not len(chosen) or not np.issubdtype(chosen.dtype, np.integer):
        raise InvalidRequest(f"pairs must be whole numbers of shape (sets, 2), not {chosen.dtype} of {chosen.shape}")
    if chosen.min() < 0 or chosen.max() >= len(table):
        raise InvalidRequest(f"pairs must name lines 0 to {len(table) - 1}, not {chosen.min()} to {chosen.max()}")
    chosen = np.ascontiguousarray(chosen, dtype=np.int64)
    rates = _rates(costs, bars_per_year)
    below = -1.0 if short else 0.0
    returns = np.empty((len(chosen), len(closes)) if keep_returns else (0, 0))
    if wants_numpy(engine):
        rows = []
        for number, (upper, lower) in enumerate(chosen):
            known = ~(np.isnan(table[upper]) | np.isnan(table[lower]))
            target = np.where(known, np.where(table[upper] > table[lower], 1.0, below), 0.0)
            # Equal lines cross nothing: no position, long or short.
            target[table[upper] == table[lower]] = 0.0
            rows.append(_summary(opens, closes, target, rates, _row(returns, number)))
        summary = np.stack(rows)
    else:
        from evolve.backtest.sweep_kernels import sweep_crossovers_compiled

        summary = sweep_crossovers_compiled(opens, closes, table, chosen, below, *rates, returns)
    return _sweep(summary, returns, len(closes), bars_per_year, keep_returns)


def _prices(open: ArrayLike, close: ArrayLike) -> tuple[Floats, Floats]:
    opens, closes = series(open, "open"), series(close, "close")
    same_length(open=opens, close=closes)
    check_prices(opens, closes)
    return opens, closes


def _rates(costs: Costs, bars_per_year: float) -> tuple[float, float, float]:
    check_account(costs, bars_per_year, 1.0)
    return costs.fee_bps * BPS, costs.slippage_bps * BPS, costs.borrow_bps_per_year * BPS / bars_per_year


def _row(returns: Floats, number: int) -> Floats | None:
    return returns[number] if len(returns) else None


def _summary(
    opens: Floats, closes: Floats, target: Floats, rates: tuple[float, float, float], returns: Floats | None
) -> Floats:
    """The reference: the account walked as for one set, then summed up."""
    walk = walk_positions(opens, closes, target, *rates, 1.0)
    if walk.ruined >= 0:
        if returns is not None:
            returns[:] = np.nan
        return np.array([-1.0, np.nan, np.nan, -1.0, np.nan, np.nan, np.nan, walk.ruined])
    before = np.concatenate([[1.0], walk.equity[:-1]])
    net = simple_returns(walk.equity, 1.0)
    if returns is not None:
        returns[:] = net
    peak = np.maximum.accumulate(np.concatenate([[1.0], walk.equity]))[1:]
    turnover = float((np.abs(walk.fill_quantity) * walk.fill_price / before[walk.fill_bar]).sum())
    return np.array(
        [
            walk.equity[-1] - 1, net.sum(), (net**2).sum(), min(0.0, float((walk.equity / peak - 1).min())),
            len(walk.fill_bar), np.count_nonzero(walk.quantity), turnover, -1,
        ]
    )  # fmt: skip


def _sweep(summary: Floats, returns: Floats, bars: int, bars_per_year: float, keep: bool) -> Sweep:
    total, sums, squares, drawdown, trades, held, turnover, ruined = summary.T
    mean = sums / bars
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.maximum(0.0, squares - bars * mean**2) / (bars - 1)
        # As in `metrics`. Sums are exact enough: the first bar always returns 0, so returns that do not vary are all 0, and the others
        # vary by at least their mean over √bars.
        still = np.sqrt(variance) <= ROUNDING * np.sqrt(squares / bars)
        sharpe = np.where(still, np.nan, mean / np.sqrt(variance) * np.sqrt(bars_per_year))
    return Sweep(
        total_return=total,
        sharpe=sharpe,
        drawdown=drawdown,
        trades=np.nan_to_num(trades).astype(np.int64),
        exposure=held / bars,
        turnover=turnover,
        ruined=ruined.astype(np.int64),
        returns=np.ascontiguousarray(returns.T) if keep else None,
    )
