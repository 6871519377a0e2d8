"""Many parameter sets at once give what each would give alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.backtest.engine import backtest_positions
from evolve.backtest.metrics import exposure, max_drawdown, sharpe_ratio, total_return
from evolve.backtest.sweep import Sweep, sweep_crossovers, sweep_targets
from evolve.cards import Costs
from evolve.errors import InvalidRequest
from evolve.market.indicators import sma

COSTS = Costs(fee_bps=5.0, slippage_bps=10.0, borrow_bps_per_year=100.0)
FREE = Costs(fee_bps=0.0, slippage_bps=0.0, borrow_bps_per_year=0.0)
DAYS = 252.0


def market(bars: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0002, 0.02, bars)))
    return np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.003, bars)), close


def same(left: Sweep, right: Sweep) -> None:
    for name in ("total_return", "sharpe", "drawdown", "trades", "exposure", "turnover", "ruined"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-9, atol=1e-12, err_msg=name)
    if left.returns is not None:
        np.testing.assert_allclose(left.returns, right.returns, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_each_set_is_what_a_backtest_of_it_alone_gives(engine):
    opens, closes = market(300, seed=1)
    targets = np.random.default_rng(2).choice([-1.0, -0.5, 0.0, 0.5, 1.0], (20, 300))

    found = sweep_targets(opens, closes, targets, COSTS, bars_per_year=DAYS, keep_returns=True, engine=engine)

    assert found.sets == 20
    for number, target in enumerate(targets):
        alone = backtest_positions(opens, closes, target, COSTS, bars_per_year=DAYS)
        assert found.total_return[number] == pytest.approx(total_return(alone.returns).value, rel=1e-9)
        assert found.sharpe[number] == pytest.approx(sharpe_ratio(alone.returns, bars_per_year=DAYS).value, rel=1e-9)
        assert found.drawdown[number] == pytest.approx(max_drawdown(alone.returns).value, rel=1e-9)
        assert found.exposure[number] == pytest.approx(exposure(alone.quantity).value)
        assert found.trades[number] == len(alone.fills)
        assert found.turnover[number] == pytest.approx(alone.turnover.sum(), rel=1e-9)
        np.testing.assert_allclose(found.returns[:, number], alone.returns, rtol=1e-9, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), bars=st.integers(2, 80), short=st.booleans())
def test_compiled_and_reference_agree_on_crossovers(seed, bars, short):
    opens, closes = market(bars, seed)
    rng = np.random.default_rng(seed)
    lines = np.vstack([closes, *(np.round(closes * np.exp(rng.normal(0, 0.02, bars)), 1) for _ in range(4))])
    lines[rng.random(lines.shape) < 0.1] = np.nan
    pairs = rng.integers(0, len(lines), (6, 2))

    both = [
        sweep_crossovers(opens, closes, lines, pairs, COSTS, bars_per_year=DAYS, short=short, keep_returns=True, engine=engine)
        for engine in ("numba", "numpy")
    ]  # fmt: skip

    same(*both)


def test_a_crossover_is_long_while_the_first_line_is_above_and_trades_at_the_next_open():
    opens = np.array([10.0, 10.0, 11.0, 12.0, 12.0])
    closes = np.array([10.0, 11.0, 12.0, 12.0, 12.0])
    lines = np.array([[2.0, 2.0, 1.0, 1.0, 1.0], [1.0, 1.0, 2.0, 2.0, 2.0]])  # above at the closes of bars 0 and 1

    found = sweep_crossovers(opens, closes, lines, [[0, 1]], FREE, bars_per_year=DAYS)

    # Bought at the open of bar 1 (10), sold at the open of bar 3 (12).
    assert found.total_return[0] == pytest.approx(0.2)
    assert (found.trades[0], found.exposure[0]) == (2, 0.4)


def test_before_a_line_begins_there_is_no_position():
    opens, closes = market(100, seed=3)
    lines = np.vstack([sma(closes, window=20), np.zeros(100)])

    found = sweep_crossovers(opens, closes, lines, [[0, 1]], FREE, bars_per_year=DAYS, keep_returns=True)

    assert not found.returns[:20].any()  # the average exists from the close of bar 19: filled at the open of bar 20
    assert found.returns[20:].any()


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_set_that_loses_everything_is_marked_and_the_others_stand(engine):
    opens, closes = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, 3.0, 3.0])
    targets = [[-1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]]

    found = sweep_targets(opens, closes, targets, FREE, bars_per_year=DAYS, engine=engine)

    assert found.ruined.tolist() == [2, -1]
    assert found.total_return.tolist() == [-1.0, 2.0]
    assert np.isnan(found.sharpe[0])


def test_a_set_that_never_trades_has_no_sharpe_ratio():
    opens, closes = market(50, seed=4)

    assert np.isnan(sweep_targets(opens, closes, np.zeros((1, 50)), FREE, bars_per_year=DAYS).sharpe[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda o, c: sweep_targets(o, c, np.zeros((3, 7)), FREE, bars_per_year=DAYS), r"shape \(sets, 10\)"),
        (lambda o, c: sweep_targets(o, c, np.full((1, 10), 2.0), FREE, bars_per_year=DAYS), "set 0 at bar 0 is 2"),
        (lambda o, c: sweep_targets(o, c, np.full((1, 10), np.nan), FREE, bars_per_year=DAYS), "set 0 at bar 0 is nan"),
        (lambda o, c: sweep_crossovers(o, c, np.zeros((2, 10)), [[0, 2]], FREE, bars_per_year=DAYS), "lines 0 to 1"),
        (lambda o, c: sweep_crossovers(o, c, np.zeros((2, 10)), [[0.5, 1]], FREE, bars_per_year=DAYS), "whole numbers"),
        (lambda o, c: sweep_crossovers(o, c, np.zeros((2, 9)), [[0, 1]], FREE, bars_per_year=DAYS), "lines must have"),
        (lambda o, c: sweep_targets(-o, c, np.zeros((1, 10)), FREE, bars_per_year=DAYS), "prices must be positive"),
        (lambda o, c: sweep_targets(o, c, np.zeros((1, 10)), FREE, bars_per_year=DAYS, engine="gpu"), "engine must be"),
    ],
)
def test_what_cannot_be_swept_is_refused_saying_why(call, said):
    with pytest.raises(InvalidRequest, match=said):
        call(*market(10, seed=5))
