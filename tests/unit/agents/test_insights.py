"""Statements are made where data hold them, and not where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.agents.insights import LOOKS, _Subject, abs_change, holm, insight_kind
from evolve.cards import Insight
from evolve.errors import InvalidRequest
from evolve.evidence import EvidenceBook
from evolve.market.bars import Bars

DAY_MS = 86_400_000


def subject(returns: np.ndarray) -> _Subject:
    close = 100 * np.cumprod(np.concatenate([[1.0], 1 + returns]))
    time = 1_262_304_000_000 + DAY_MS * np.arange(len(close))
    bars = Bars("TEST", "1d", time, close, close, close, close, np.full(len(close), 1.0), "made for a test", 252.0)
    return _Subject("TEST", returns, time[1:], bars, None, EvidenceBook())


def noise(bars: int = 1600, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0005, 0.01, bars)


def test_a_change_of_volatility_is_found_and_its_absence_too():
    wild = noise()
    wild[-63:] *= 3

    found = LOOKS["regime"](subject(wild))

    assert isinstance(found, Insight)
    assert {item.name for item in found.evidence} == {"volatility_recent", "volatility_before", "p_value"}
    assert isinstance(LOOKS["regime"](subject(noise())), str)


def test_a_planted_month_is_found_and_named_with_its_figures():
    returns = noise()
    month = subject(returns).time.astype("datetime64[ms]").astype("datetime64[M]").astype(int) % 12
    returns[month == 3] += 0.008

    found = LOOKS["seasonality"](subject(returns))

    assert isinstance(found, Insight)
    assert found.statement.startswith("April differs")
    assert found.plot_type == "monthly_returns"


def test_seasonality_of_noise_is_claimed_no_oftener_than_promised():
    """100 series of noise; at 5 % after Holm's correction 10 or fewer claims are to be expected with 98 % (binomial)."""
    claims = sum(isinstance(LOOKS["seasonality"](subject(noise(1500, seed))), Insight) for seed in range(100))
    assert claims <= 10


def test_holms_correction_is_that_of_the_textbook():
    """By hand: 4 × 0.01, 3 × 0.02, then 2 × 0.03 = 0.06 stays at the 0.06 before, and 1 × 0.5."""
    assert holm({0: 0.01, 1: 0.02, 2: 0.03, 3: 0.5}) == pytest.approx({0: 0.04, 1: 0.06, 2: 0.06, 3: 0.5})


def test_the_deepest_fall_is_that_of_the_equity():
    returns = np.concatenate([np.zeros(300), [0.1, -0.5, 0.0]])

    found = LOOKS["drawdown"](subject(returns))

    assert isinstance(found, Insight)
    assert found.evidence[0].value == pytest.approx(-0.5)


def test_gains_that_hang_on_few_bars_are_named():
    returns = np.zeros(1000)
    returns[::100] = 0.05

    found = LOOKS["concentration"](subject(returns))

    assert isinstance(found, Insight)
    assert found.evidence[1].value == pytest.approx(0.0)
    assert isinstance(LOOKS["concentration"](subject(np.full(1000, 0.001))), str)


def test_a_symbol_has_no_coverage_and_is_not_set_against_itself():
    assert isinstance(LOOKS["coverage"](subject(noise())), str)
    assert isinstance(LOOKS["against_holding"](subject(noise())), str)


def test_equal_stretches_do_not_differ():
    values = noise(100)
    assert abs_change(values, values)[0] == 0.0


def test_an_unknown_type_is_answered_with_those_there_are():
    with pytest.raises(InvalidRequest, match="performance"):
        insight_kind("performanc")
