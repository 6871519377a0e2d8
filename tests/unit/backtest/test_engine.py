from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evolve.backtest.engine import Backtest, Engine, backtest_positions
from evolve.cards import Costs
from evolve.errors import InvalidRequest, MissingExtra

FREE = Costs(fee_bps=0, slippage_bps=0)
FLAT_PRICE = np.full(6, 100.0)
ENGINES: tuple[Engine, ...] = ("numba", "numpy")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param  # type: ignore[no-any-return]


def run(open: object, close: object, target: object, costs: Costs = FREE, *, engine: Engine = "numba") -> Backtest:
    return backtest_positions(
        np.asarray(open, float),
        np.asarray(close, float),
        np.asarray(target, float),
        costs,
        bars_per_year=252,
        engine=engine,
    )


@st.composite
def markets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, Costs]:
    """Prices that move up to 8 % a step, targets on a grid that often repeat, costs up to 1 % a leg."""
    bars = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = rng.uniform(-0.08, 0.08, 2 * bars)
    prices = 100 * np.exp(np.cumsum(steps))
    levels = draw(st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-1.0, -0.3, 0.0, 0.25, 1.0), (-0.5, 0.0)]))
    hold = draw(st.sampled_from([1, 2, 7]))
    target = np.repeat(rng.choice(levels, bars), hold)[:bars]
    if draw(st.booleans()):
        target = np.clip(target * rng.uniform(0, 1, bars), -1, 1)
    costs = Costs(draw(st.floats(0, 100)), draw(st.floats(0, 100)), draw(st.floats(0, 1000)))
    return prices[::2], prices[1::2], target, costs


def survives(market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs], engine: Engine = "numba") -> Backtest:
    open, close, target, costs = market
    try:
        return run(open, close, target, costs, engine=engine)
    except InvalidRequest as error:
        assume("wiped out" not in error.message)
        raise


def test_an_order_decided_on_a_bar_is_filled_at_the_next_bars_open(engine: Engine) -> None:
    result = run([10, 11, 12, 13], [10.5, 11.5, 12.5, 13.5], [1, 1, 0, 0], engine=engine)

    assert [(fill.bar, fill.price) for fill in result.fills] == [(1, 11.0), (3, 13.0)]
    assert result.equity.tolist() == pytest.approx([1, 11.5 / 11, 12.5 / 11, 13 / 11])


def test_the_last_decision_is_never_filled(engine: Engine) -> None:
    result = run(FLAT_PRICE, FLAT_PRICE, [0, 0, 0, 0, 0, 1], engine=engine)

    assert result.fills == ()
    assert result.turnover.tolist() == [0] * 6


def test_a_single_bar_is_an_account_that_did_nothing(engine: Engine) -> None:
    result = run([100], [101], [1], engine=engine)

    assert (result.equity.tolist(), result.returns.tolist(), result.fills) == ([1.0], [0.0], ())


def test_slippage_is_paid_on_both_legs(engine: Engine) -> None:
    result = run(FLAT_PRICE, FLAT_PRICE, [1, 0, 0, 0, 0, 0], Costs(fee_bps=0, slippage_bps=100), engine=engine)

    # Bought at 101 with all the cash, sold at 99.
    assert result.equity[-1] == pytest.approx(99 / 101)
    assert [fill.price for fill in result.fills] == pytest.approx([101, 99])
    assert result.costs_paid == pytest.approx(1 - 99 / 101)


def test_the_fee_is_charged_on_the_slipped_notional(engine: Engine) -> None:
    result = run(FLAT_PRICE, FLAT_PRICE, [0.5, 0, 0, 0, 0, 0], Costs(fee_bps=100, slippage_bps=100), engine=engine)

    # Half the equity at the open of 100 is 0.005 units: bought at 101, sold at 99, 1 % of each notional.
    assert [fill.fee for fill in result.fills] == pytest.approx([0.005 * 101 * 0.01, 0.005 * 99 * 0.01])
    assert result.equity[-1] == pytest.approx(1 - 0.005 * 2 - 0.005 * 2.0)


def test_a_full_position_is_bounded_by_the_cash_that_pays_for_it(engine: Engine) -> None:
    result = run(FLAT_PRICE, FLAT_PRICE, np.ones(6), Costs(fee_bps=50, slippage_bps=50), engine=engine)

    assert result.quantity[-1] == pytest.approx(1 / (100.5 * 1.005))
    assert result.cash[-1] == pytest.approx(0, abs=1e-15)


def test_a_flip_from_long_to_short_pays_both_legs(engine: Engine) -> None:
    result = run(FLAT_PRICE, FLAT_PRICE, [1, -1, -1, -1, -1, -1], Costs(fee_bps=10, slippage_bps=0), engine=engine)

    long_quantity = 1 / (100 * 1.001)
    equity_before = long_quantity * 100
    bought, flipped = result.fills
    assert flipped.quantity == pytest.approx(-(long_quantity + equity_before / 100))
    assert flipped.fee == pytest.approx(2 * bought.fee)
    assert result.turnover[2] == pytest.approx(2.0)


def test_a_short_pays_borrow_at_each_close_it_is_held_over(engine: Engine) -> None:
    # 2,520 bp over 252 bars: 10 bp a bar. Opened at the open of bar 1, closed at the open of bar 4: three closes.
    result = run(FLAT_PRICE, FLAT_PRICE, [-1, -1, -1, 0, 0, 0], Costs(0, 0, borrow_bps_per_year=2520), engine=engine)

    assert result.equity.tolist() == pytest.approx([1, 0.999, 0.998, 0.997, 0.997, 0.997])
    assert result.borrow.tolist() == pytest.approx([0, 0.001, 0.001, 0.001, 0, 0])


def test_a_long_pays_no_borrow(engine: Engine) -> None:
    assert run(FLAT_PRICE, FLAT_PRICE, np.ones(6), Costs(0, 0, 2520), engine=engine).equity[-1] == 1


def test_a_position_is_resized_only_when_the_target_changes(engine: Engine) -> None:
    prices = [100, 100, 200, 400, 400, 400]

    result = run(prices, prices, [0.5, 0.5, 0.5, 0.6, 0.6, 0.6], engine=engine)

    # 0.005 units held while the price quadruples; then 60 % of 0.5 + 2.0 at 400.
    assert [fill.bar for fill in result.fills] == [1, 4]
    assert result.quantity.tolist() == pytest.approx([0, 0.005, 0.005, 0.005, 0.6 * 2.5 / 400, 0.6 * 2.5 / 400])
    assert result.position[3] == pytest.approx(2.0 / 2.5)


def test_a_short_that_loses_everything_raises_and_names_the_bar(engine: Engine) -> None:
    prices = [100, 100, 150, 250, 250]

    with pytest.raises(InvalidRequest, match="wiped out at bar 3") as raised:
        run(prices, prices, [-1, -1, -1, -1, -1], engine=engine)

    assert raised.value.details == {"bar": 3}


def test_an_account_wiped_out_at_the_open_is_not_saved_by_a_better_close(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="wiped out at bar 2"):
        run([100, 100, 300, 100], [100, 100, 100, 100], [-1, 0, 0, 0], engine=engine)


@pytest.mark.parametrize(
    ("open", "close", "target", "message"),
    [
        ([1, 0], [1, 1], [0, 0], "open of bar 1 is 0"),
        ([1, 1], [-1, 1], [0, 0], "close of bar 0 is -1"),
        ([1, 1], [1, 1], [0, 1.5], "target of bar 1 is 1.5"),
        ([1, 1], [1, 1], [np.nan, 0], "target holds nan at 0"),
        ([1, 1], [1, 1], [0], "equally long"),
        ([], [], [], "no bars"),
    ],
)
def test_what_cannot_be_traded_is_refused_and_the_bar_named(
    open: object, close: object, target: object, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        run(open, close, target)


@pytest.mark.parametrize("costs", [Costs(-1, 0), Costs(0, float("nan")), Costs(0, 0, 10_000)])
def test_impossible_costs_are_refused(costs: Costs) -> None:
    with pytest.raises(InvalidRequest, match="bps"):
        run([1, 1], [1, 1], [0, 0], costs)


@given(markets())
@settings(deadline=None, max_examples=150)
def test_the_compiled_and_the_reference_engine_agree(market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs]) -> None:
    open, close, target, costs = market
    outcomes: list[Backtest | str] = []
    for name in ENGINES:
        try:
            outcomes.append(run(open, close, target, costs, engine=name))
        except InvalidRequest as error:
            outcomes.append(error.message)
    compiled, reference = outcomes

    if isinstance(compiled, str) or isinstance(reference, str):
        assert compiled == reference
        return
    assert compiled.equity == pytest.approx(reference.equity, rel=1e-9)
    assert compiled.quantity == pytest.approx(reference.quantity, rel=1e-9)
    assert compiled.fill_bar.tolist() == reference.fill_bar.tolist()
    assert compiled.fill_fee == pytest.approx(reference.fill_fee, rel=1e-9)


@given(markets(), st.sampled_from(ENGINES))
@settings(deadline=None)
def test_equity_is_cash_plus_position_and_every_cent_is_accounted_for(
    market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs], engine: Engine
) -> None:
    result = survives(market, engine)
    _, close, _, _ = market
    bars = len(close)
    bought = np.bincount(result.fill_bar, weights=result.fill_quantity, minlength=bars)
    spent = np.bincount(result.fill_bar, weights=result.fill_quantity * result.fill_price, minlength=bars)

    quantity = np.cumsum(bought)
    cash = 1 - np.cumsum(spent + result.fees + result.borrow)

    assert result.quantity == pytest.approx(quantity, abs=1e-12)
    assert result.equity == pytest.approx(cash + quantity * close, rel=1e-9, abs=1e-12)
    assert np.prod(1 + result.returns) == pytest.approx(result.equity[-1], rel=1e-9)


@given(markets(), st.data())
@settings(deadline=None)
def test_changing_the_future_leaves_the_past_unchanged(
    market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs], data: st.DataObject
) -> None:
    open, close, target, costs = market
    cut = data.draw(st.integers(0, len(close) - 1))
    before = survives(market)
    later = np.arange(len(close)) > cut
    changed = np.where(later, open * 1.01, open), np.where(later, close * 0.99, close)
    # What is decided at the cut itself is filled after it, so the target may change there too.
    after = survives((*changed, np.where(later | (np.arange(len(close)) == cut), 0.0, target), costs))

    assert before.equity[: cut + 1].tobytes() == after.equity[: cut + 1].tobytes()


@given(markets())
@settings(deadline=None)
def test_always_long_without_costs_is_the_price_since_the_first_fill(
    market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs],
) -> None:
    open, close, _, _ = market
    assume(len(close) > 1)

    result = run(open, close, np.ones(len(close)))

    assert result.equity[1:] == pytest.approx(close[1:] / open[1], rel=1e-12)


@given(markets(), st.sampled_from(ENGINES))
@settings(deadline=None)
def test_where_prices_stand_still_trading_only_loses_what_it_costs(
    market: tuple[np.ndarray, np.ndarray, np.ndarray, Costs], engine: Engine
) -> None:
    _, _, target, costs = market
    still = np.full(len(target), 100.0)

    result = survives((still, still, target, costs), engine)

    assert (np.diff(result.equity) <= 1e-15).all()
    assert result.equity[-1] == pytest.approx(1 - result.costs_paid, rel=1e-9)


def test_everything_scales_with_what_was_put_in() -> None:
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 100)))
    target = np.repeat(rng.choice([-1.0, 0, 1], 20), 5)
    costs = Costs(10, 5, 100)

    one = backtest_positions(close, close, target, costs, bars_per_year=252)
    thousand = backtest_positions(close, close, target, costs, bars_per_year=252, initial_equity=1000)

    assert thousand.equity == pytest.approx(1000 * one.equity, rel=1e-12)
    assert thousand.turnover == pytest.approx(one.turnover, rel=1e-9)
    assert thousand.returns == pytest.approx(one.returns, abs=1e-12)


def test_read_only_bars_are_accepted() -> None:
    prices = np.full(4, 100.0)
    prices.setflags(write=False)

    assert backtest_positions(prices, prices, prices * 0, FREE, bars_per_year=252).equity.tolist() == [1] * 4


def test_importing_the_backtest_imports_no_numba() -> None:
    """Services that only read results stay light."""
    program = "import sys, evolve.backtest.engine, evolve.backtest.metrics, evolve.backtest.gate; sys.exit('numba' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_numba_the_engine_says_so_and_does_not_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    with pytest.raises(MissingExtra, match="engine='numpy'"):
        run(FLAT_PRICE, FLAT_PRICE, np.ones(6))
    assert run(FLAT_PRICE, FLAT_PRICE, np.ones(6), engine="numpy").equity[-1] == 1


def test_an_account_within_the_maintenance_margin_is_closed_and_the_bar_named(engine: Engine) -> None:
    """Short 1 at 10, worth 10 and 10 of cash from the sale: at a close of 14 the account is worth 6, less than half of 14."""
    opens, closes = [10.0, 10.0, 12.0, 14.0, 14.0], [10.0, 10.0, 12.0, 14.0, 14.0]

    kept = backtest_positions(opens, closes, [-1.0] * 5, FREE, bars_per_year=252, engine=engine)
    with pytest.raises(InvalidRequest, match=r"at bar 3: .* left less than a margin of 0\.5") as caught:
        backtest_positions(opens, closes, [-1.0] * 5, FREE, bars_per_year=252, maintenance_margin=0.5, engine=engine)

    assert kept.equity[-1] == pytest.approx(0.6)
    assert caught.value.details["bar"] == 3


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(InvalidRequest, match="maintenance_margin"):
        backtest_positions([1.0], [1.0], [1.0], FREE, bars_per_year=252, maintenance_margin=margin)
