"""What a strategy's decisions mean, and what makes it another trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evolve.agents.strategy import Strategy, columns_of
from evolve.errors import InvalidRequest
from evolve.market.bars import Bars
from evolve.memory.canonical import recipe_hash

DAY_MS = 86_400_000


def bars(count: int) -> Bars:
    close = np.arange(1.0, count + 1)
    return Bars(
        symbol="TINY", timeframe="1d", time=1_600_000_000_000 + DAY_MS * np.arange(count), open=close, high=close, low=close,
        close=close, volume=close, source="made for a test", bars_per_year=252.0,
    )  # fmt: skip


def held(decisions: list[Any], **options: Any) -> list[float]:
    return Strategy("", "mine", **options).positions(decisions, bars(len(decisions))).tolist()


def test_signals_are_positions_and_hold_keeps_the_last_one() -> None:
    assert held(["BUY", "HOLD", "SELL", "hold", "FLAT", None]) == [1, 1, -1, -1, 0, 0]


def test_before_the_first_decision_nothing_is_held() -> None:
    assert held([None, "HOLD", 0.5]) == [0, 0, 0.5]


def test_a_dict_is_read_for_its_position_and_else_for_its_signal() -> None:
    decisions = [
        {"signal": "BUY", "confidence": 0.8},
        {"position": -0.25, "signal": "BUY"},
        {"signal": "HOLD", "rsi": 50},
    ]
    assert held(decisions) == [1, -0.25, -0.25]


def test_long_only_sells_to_be_out() -> None:
    assert held(["SELL", "BUY", "SELL", -0.5, 0.5], long_only=True) == [0, 1, 0, 0, 0.5]


@pytest.mark.parametrize("decision", [1.01, -2, "LONG", [1], {"error": "Not enough data"}, {}, {"position": "1"}])
def test_what_is_no_decision_is_refused_by_name_bar_and_date(decision: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"mine at bar 1 \(2020-09-14.*return a position in \[-1, 1\]"):
        held([0, decision])


def test_true_is_not_a_position_of_one() -> None:
    """Most programs that return True mean "enter", but others "exit": neither is guessed."""
    with pytest.raises(InvalidRequest, match="returned 'True'"):
        held([True])


def test_another_program_or_parameter_is_another_trial_and_another_name_is_not() -> None:
    def trial(**fields: Any) -> str:
        return recipe_hash(Strategy(**{"code": "a", "name": "n", **fields}).recipe(bars(3), folds=5, first_bar=1))

    assert trial(name="other") == trial()
    assert len({trial(), trial(code="b"), trial(parameters={"k": 1}), trial(long_only=True)}) == 4


def test_bars_are_sent_as_one_list_per_column_with_their_dates() -> None:
    columns = columns_of(bars(2))
    assert list(columns) == ["time", "open", "high", "low", "close", "volume"]
    assert columns["close"] == [1.0, 2.0]
    assert columns["time"] == ["2020-09-13", "2020-09-14"]


def test_two_runs_that_decide_the_same_do_not_differ_and_others_name_the_bar() -> None:
    given = bars(4)
    strategy = Strategy("def main(d): ...", "mine")

    same = strategy.differs(["BUY", None, 0.5, "FLAT"], [1.0, "HOLD", 0.5, 0], given)
    other = strategy.differs(["BUY", None, 0.5, "FLAT"], ["BUY", None, 0.25, "FLAT"], given)
    shorter = strategy.differs(["BUY", None], ["BUY"], given)

    assert same == ""
    assert "mine decided differently, first at bar 2 (2020-09-15)" in other
    assert "first at bar 1" in shorter


def test_positions_are_scaled_to_a_volatility_where_one_is_asked_for_and_that_is_another_trial() -> None:
    """Closes 1, 2, 3, 4: the first return is ln 2 a day, so 10 % a year are held at 0.1 / (ln 2 × √252)."""
    given = bars(4)
    plain, scaled = Strategy("", "mine"), Strategy("", "mine", volatility_target=0.1)

    position = scaled.positions(["BUY", "BUY", "FLAT", "FLAT"], given)

    assert position.tolist() == [0.0, pytest.approx(0.1 / (np.log(2) * np.sqrt(252))), 0.0, 0.0]
    assert recipe_hash(plain.recipe(given, folds=5, first_bar=1)) != recipe_hash(
        scaled.recipe(given, folds=5, first_bar=1)
    )
