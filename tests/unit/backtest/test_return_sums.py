"""One pass over the returns tells what every figure needs; the compiled pass and the reference agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from evolve.backtest import metrics
from evolve.backtest.engine import backtest_positions
from evolve.backtest.return_sums import return_sums
from evolve.cards import Costs
from evolve.errors import InvalidRequest

COSTS = Costs(fee_bps=1.0, slippage_bps=1.0, borrow_bps_per_year=0.0)
# Whole basis points: a peak that is reached again is reached exactly or clearly missed in both engines.
RETURNS = arrays(np.int64, st.integers(0, 200), elements=st.integers(-3_000, 3_000)).map(lambda bps: bps / 1e4)


@given(returns=RETURNS)
@settings(max_examples=200, deadline=None)
def test_the_compiled_pass_equals_the_reference(returns: np.ndarray) -> None:
    compiled, reference = return_sums(returns), return_sums(returns, engine="numpy")

    for name in (
        "gains",
        "losses",
        "winners",
        "losers",
        "growth",
        "ruined",
        "drawdown",
        "drawdown_bars",
        "recovered",
        "largest",
    ):
        assert getattr(compiled, name) == pytest.approx(getattr(reference, name), rel=1e-9, abs=1e-15), name
    assert compiled.mean == pytest.approx(reference.mean, abs=1e-12)
    if returns.size > 1 and not reference.is_still:
        assert compiled.deviation(ddof=1) == pytest.approx(reference.deviation(ddof=1), rel=1e-9)
        assert compiled.downside_deviation == pytest.approx(reference.downside_deviation, rel=1e-9)
        assert compiled.kurtosis == pytest.approx(reference.kurtosis, rel=1e-9)
        # The third powers cancel: their error is small beside the sum of their sizes, not beside what is left.
        assert compiled.skewness == pytest.approx(reference.skewness, rel=1e-9, abs=1e-9)


def test_the_moments_equal_scipys() -> None:
    sample = np.random.default_rng(4).standard_t(3, 2_000) * 0.01
    known = return_sums(sample)

    assert known.mean == pytest.approx(sample.mean(), rel=1e-10)
    assert known.deviation(ddof=1) == pytest.approx(sample.std(ddof=1), rel=1e-12)
    assert known.skewness == pytest.approx(stats.skew(sample), rel=1e-10)
    assert known.kurtosis == pytest.approx(stats.kurtosis(sample, fisher=False), rel=1e-10)


@pytest.mark.parametrize("size", [1e-120, 1e-3, 1e40])
def test_neither_tiny_nor_huge_returns_lose_their_shape(size: float) -> None:
    shape = np.random.default_rng(4).normal(size=500)

    assert return_sums(shape * size).skewness == pytest.approx(stats.skew(shape), rel=1e-9)
    assert return_sums(shape * size).kurtosis == pytest.approx(stats.kurtosis(shape, fisher=False), rel=1e-9)


@given(returns=RETURNS.filter(lambda sample: sample.size > 0), level=st.floats(0, 1))
@settings(deadline=None)
def test_quantiles_equal_numpys(returns: np.ndarray, level: float) -> None:
    assert return_sums(returns).quantile(level) == pytest.approx(np.quantile(returns, level), rel=1e-12, abs=1e-15)


def test_all_figures_of_a_backtest_come_from_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def counted(sample: np.ndarray) -> object:
        passes.append(sample.size)
        return kernel(sample)

    from evolve.backtest import return_kernel

    kernel = return_kernel.pass_over_compiled
    monkeypatch.setattr(return_kernel, "pass_over_compiled", counted)
    closes = 100 * np.cumprod(1 + np.random.default_rng(0).normal(0, 0.01, 300))
    backtest = backtest_positions(closes, closes, np.ones(300), COSTS, bars_per_year=252)

    figures = metrics.performance(backtest, bars_per_year=252)

    assert len(figures) >= 18
    assert passes == [300]


def test_a_return_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidRequest, match="returns holds nan at 1"):
        return_sums([0.1, float("nan")])


def test_without_returns_there_is_nothing_to_sum() -> None:
    known = return_sums([])

    assert (known.n, known.growth, known.drawdown, known.winners) == (0, 1.0, 0.0, 0)
    assert return_sums(known) is known
