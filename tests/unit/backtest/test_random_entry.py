"""Random strategies trade and hold what the judged one does; who knows the future beats them, who knows nothing is one of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.backtest.random_entry import random_entry, random_targets
from evolve.cards import Costs
from evolve.errors import InvalidRequest

COSTS = Costs(fee_bps=1.0, slippage_bps=4.0)
FREE = Costs(fee_bps=0.0, slippage_bps=0.0)


def prices(seed: int, bars: int, *, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, 0.01, bars)))
    return np.concatenate([[100.0], close[:-1]]), close


@given(
    stretches=st.lists(st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), st.integers(1, 8)), min_size=1, max_size=20),
    seed=st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_random_strategy_holds_the_same_sizes_as_long_and_trades_as_much(
    stretches: list[tuple[float, int]], seed: int
) -> None:
    # Flat at both ends, so that every stretch is opened and closed.
    target = np.concatenate([[0.0], np.repeat(*zip(*stretches, strict=True)), [0.0]])

    for chance in random_targets(target, 5, rng=np.random.default_rng(seed)):
        assert sorted(chance) == sorted(target)
        assert np.abs(np.diff(chance)).sum() == pytest.approx(np.abs(np.diff(target)).sum())
        assert np.sum(np.diff(np.sign(chance)) != 0) == np.sum(np.diff(np.sign(target)) != 0)


def test_who_knows_tomorrow_beats_nearly_all_of_them_and_who_mistakes_it_none() -> None:
    opens, close = prices(1, 600)
    held = np.sign(np.append(np.diff(close), 0.0))  # filled at the next open, which is this close

    right = random_entry(opens, close, held, FREE, bars_per_year=252, rng=np.random.default_rng(2))
    wrong = random_entry(opens, close, -held, FREE, bars_per_year=252, rng=np.random.default_rng(2))

    assert right.percentile.value == 1.0
    assert wrong.percentile.value == 0.0


def test_turnover_and_so_costs_are_those_of_the_strategy() -> None:
    opens, close = prices(3, 2000)
    held = np.repeat(np.random.default_rng(4).choice([-1.0, 0.0, 0.5, 1.0], 200), 10)

    found = random_entry(opens, close, held, COSTS, bars_per_year=252, rng=np.random.default_rng(5))

    assert found.turnover.value == pytest.approx(1.0, abs=0.03)


def test_in_noise_the_percentile_of_a_strategy_that_knows_nothing_is_uniform() -> None:
    """100 worlds: mean 0.5 with a standard error of 0.029, and a tenth in the top tenth."""
    found = []
    for seed in range(100):
        rng = np.random.default_rng([6, seed])
        opens, close = prices(seed, 500, drift=0.0005)
        held = random_targets(np.repeat([0.0, 1.0] * 12 + [0.0], 20), 1, rng=rng)[0]
        found.append(random_entry(opens, close, held, COSTS, bars_per_year=252, rng=rng, draws=60).percentile.value)

    assert np.mean(found) == pytest.approx(0.5, abs=0.1)
    assert 2 <= np.sum(np.array(found) > 0.9) <= 20


def test_being_long_a_rising_market_is_not_beaten_by_chance_that_is_long_as_often() -> None:
    opens, close = prices(7, 1000, drift=0.002)
    held = np.repeat([1.0, 0.0] * 25, 20)

    found = random_entry(opens, close, held, COSTS, bars_per_year=252, rng=np.random.default_rng(8))

    assert found.sharpe.value is not None
    assert found.sharpe.value > 1.0  # the market's, and theirs too
    assert 0.02 < float(found.percentile.value or 0) < 0.98


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (np.zeros(100), "never held a position"),
        (np.ones(100), r"can hardly be placed otherwise \(1 in the market\)"),
        (np.repeat([1.0, -1.0], 50), r"2 in the market"),
    ],
)
def test_what_cannot_be_placed_otherwise_has_no_percentile(target: np.ndarray, why: str) -> None:
    opens, close = prices(9, 100)

    found = random_entry(opens, close, target, COSTS, bars_per_year=252, rng=np.random.default_rng(1))

    assert found.percentile.value is None
    assert found.sharpe.value is None
    assert re.search(why, found.percentile.note)


def test_one_entry_can_be_placed_at_many_bars() -> None:
    opens, close = prices(10, 300)
    held = np.zeros(300)
    held[100:150] = 1.0

    found = random_entry(opens, close, held, COSTS, bars_per_year=252, rng=np.random.default_rng(1))

    assert found.percentile.value is not None


def test_the_same_seed_gives_the_same_answer() -> None:
    target = np.repeat(np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 40), 5)

    first, second = (random_targets(target, 7, rng=np.random.default_rng(3)) for _ in range(2))

    assert (first == second).all()


def test_no_targets_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no targets"):
        random_targets([], 1, rng=np.random.default_rng(1))
