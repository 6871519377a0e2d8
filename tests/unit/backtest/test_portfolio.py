"""A portfolio's account: every unit of money is somewhere, and one symbol alone is what the other engine says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.backtest.engine import backtest_positions
from evolve.backtest.portfolio import backtest_portfolio
from evolve.cards import Costs
from evolve.errors import InvalidRequest

COSTS = Costs(fee_bps=5.0, slippage_bps=10.0, borrow_bps_per_year=100.0)
FREE = Costs(fee_bps=0.0, slippage_bps=0.0, borrow_bps_per_year=0.0)
DAYS = 252.0


def market(bars: int, symbols: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0002, 0.01, (bars, symbols)), axis=0))
    return np.vstack([np.full((1, symbols), 100.0), close[:-1]]) * np.exp(rng.normal(0, 0.002, (bars, symbols))), close


def weights(bars: int, symbols: int, seed: int, *, short: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(bars, symbols)) if short else rng.random((bars, symbols))
    found /= np.abs(found).sum(axis=1, keepdims=True)
    kept = rng.random(bars) < 0.4  # on these days nothing is decided anew
    for bar in range(1, bars):
        if kept[bar]:
            found[bar] = found[bar - 1]
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), bars=st.integers(1, 60), symbols=st.integers(1, 8), short=st.booleans())
def test_compiled_and_reference_agree(seed, bars, symbols, short):
    opens, closes = market(bars, symbols, seed)
    wanted = weights(bars, symbols, seed, short=short)

    compiled, reference = (
        backtest_portfolio(opens, closes, wanted, COSTS, bars_per_year=DAYS, engine=engine) for engine in ("numba", "numpy")
    )  # fmt: skip

    for name in ("equity", "cash", "turnover", "paid", "quantity"):
        np.testing.assert_allclose(
            getattr(compiled, name), getattr(reference, name), rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_weights_are_filled_at_the_next_open():
    opens = np.array([[10.0, 10.0], [10.0, 20.0], [12.0, 20.0]])
    closes = np.array([[10.0, 20.0], [12.0, 20.0], [12.0, 10.0]])

    account = backtest_portfolio(opens, closes, [[0.5, 0.5]] * 3, FREE, bars_per_year=DAYS)

    # Bar 1: 0.05 of the first at 10, 0.025 of the second at 20; worth 0.6 + 0.5 at its close, 0.6 + 0.25 at the next.
    assert account.equity.tolist() == pytest.approx([1.0, 1.1, 0.85])
    assert account.quantity.tolist() == pytest.approx([0.05, 0.025])
    assert account.turnover.tolist() == pytest.approx([0.0, 1.0, 0.0])


def test_equity_is_cash_plus_holdings_and_what_was_paid_is_what_is_missing():
    """Without a move in price, costs are all that is lost."""
    opens = np.full((50, 4), 7.0)
    wanted = weights(50, 4, seed=1, short=True)

    account = backtest_portfolio(opens, opens, wanted, COSTS, bars_per_year=DAYS)

    assert account.equity[-1] == pytest.approx(1 - account.costs_paid, rel=1e-12)
    assert account.equity[-1] == pytest.approx(account.cash[-1] + (account.quantity * 7.0).sum(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_weights_that_sum_to_one_never_borrow(seed):
    opens, closes = market(40, 5, seed)

    account = backtest_portfolio(opens, closes, weights(40, 5, seed, short=False), COSTS, bars_per_year=DAYS)

    assert account.cash.min() >= 0
    assert account.cash[1:].max() < 1e-4  # nor is more put aside than the costs could need


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), target=st.floats(-1, 0.9))
def test_one_symbol_without_costs_is_what_the_engine_of_positions_gives(seed, target):
    opens, closes = market(60, 1, seed)
    targets = np.where(np.random.default_rng(seed).random(60) < 0.5, target, 0.0)

    portfolio = backtest_portfolio(opens, closes, targets[:, None], FREE, bars_per_year=DAYS)
    alone = backtest_positions(opens[:, 0], closes[:, 0], targets, FREE, bars_per_year=DAYS)

    np.testing.assert_allclose(portfolio.equity, alone.equity, rtol=1e-9)


def test_weights_that_do_not_change_drift():
    opens, closes = market(30, 3, seed=2)

    account = backtest_portfolio(opens, closes, np.full((30, 3), 1 / 3), FREE, bars_per_year=DAYS)

    assert np.count_nonzero(account.turnover) == 1


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_an_account_that_loses_everything_is_an_error_that_names_the_bar(engine):
    opens = np.array([[1.0, 1.0]] * 4)
    closes = np.array([[1.0, 1.0], [1.0, 1.0], [3.5, 1.0], [3.5, 1.0]])

    with pytest.raises(InvalidRequest, match="wiped out at bar 2"):
        backtest_portfolio(opens, closes, [[-0.5, 0.5]] * 4, FREE, bars_per_year=DAYS, engine=engine)


@pytest.mark.parametrize(
    ("wanted", "options", "said"),
    [
        (np.full((5, 2), 0.6), {}, r"bar 0 sum to 1\.2; at most max_leverage=1"),
        (np.full((5, 3), 0.1), {}, "one shape"),
        (np.full((5, 2), np.nan), {}, "weights"),
        (np.full((5, 2), 0.1), {"max_leverage": 0.0}, "max_leverage must be positive"),
        (np.full((5, 2), 0.1), {"engine": "gpu"}, "engine must be"),
        (np.full((5, 2), 0.1), {"initial_equity": 0.0}, "initial_equity must be positive"),
    ],
)
def test_what_cannot_be_traded_is_refused_saying_why(wanted, options, said):
    opens, closes = market(5, 2, seed=3)

    with pytest.raises(InvalidRequest, match=said):
        backtest_portfolio(opens, closes, wanted, COSTS, bars_per_year=DAYS, **options)


def test_more_than_all_equity_may_be_held_where_that_is_allowed():
    opens, closes = np.full((3, 1), 10.0), np.array([[10.0], [11.0], [11.0]])

    account = backtest_portfolio(opens, closes, [[2.0]] * 3, FREE, bars_per_year=DAYS, max_leverage=2.0)

    assert account.equity[1] == pytest.approx(1.2)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("bar", [0, 2, 4])
@pytest.mark.parametrize(("column", "value", "said"), [(0, np.nan, "open"), (0, -1.0, "open"), (1, np.inf, "close"), (2, np.nan, "weights"), (2, 5.0, "sum to")])  # fmt: skip
def test_whatever_cannot_be_is_refused_at_every_bar_and_by_both_engines(engine, bar, column, value, said):
    opens, closes = market(5, 2, seed=6)
    tables = [opens, closes, np.full((5, 2), 0.1)]
    tables[column][bar, 1] = value

    with pytest.raises(InvalidRequest, match=said):
        backtest_portfolio(*tables, COSTS, bars_per_year=DAYS, engine=engine)


def test_a_price_of_nothing_is_named_with_its_symbol_and_bar():
    opens, closes = market(5, 2, seed=4)
    closes[3, 1] = 0.0

    with pytest.raises(InvalidRequest, match="close of symbol 1 at bar 3 is 0"):
        backtest_portfolio(opens, closes, np.zeros((5, 2)), FREE, bars_per_year=DAYS)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_holdings_on_margin_are_closed_where_they_fall_to_it(engine):
    """Twice the equity held, half of it owed: after a fall of a quarter 0.5 of equity stand against 1.5 of holdings."""
    price = np.array([[10.0], [10.0], [9.0], [7.5], [7.5]])
    options = {"bars_per_year": DAYS, "max_leverage": 2.0, "engine": engine}

    kept = backtest_portfolio(price, price, np.full((5, 1), 2.0), FREE, **options)
    with pytest.raises(InvalidRequest, match=r"at bar 3: .* left less than a margin of 0\.4"):
        backtest_portfolio(price, price, np.full((5, 1), 2.0), FREE, maintenance_margin=0.4, **options)

    assert kept.equity[-1] == pytest.approx(0.5)
