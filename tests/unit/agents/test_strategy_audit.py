"""Programs that look ahead are found out, honest ones are not blamed, and one that never sees a later bar is only run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from desks import noise

from evolve.agents.strategy import Strategy
from evolve.agents.strategy_audit import audit_strategy, rows_of
from evolve.cards import AuditCard
from evolve.errors import DataUnavailable, InvalidRequest

Cells = dict[str, list[Any]]
STRATEGY = Strategy("def main(d): ...", "mine")


class Program:
    """Python functions in the place of the sandbox: `at_once` on whole columns, `decide` on the columns up to a bar."""

    def __init__(self, *, at_once: Callable[[Cells], Any] | None = None, decide: Callable[[Cells], Any] | None = None):
        self._at_once, self._decide, self.runs = at_once, decide, 0

    def at_once(self, columns: Cells) -> Any:
        self.runs += 1
        if self._at_once is None:
            raise InvalidRequest("mine ended before the first bar, execution_error")
        return self._at_once(columns)

    def bar_by_bar(self, columns: Cells) -> Sequence[Any]:
        assert self._decide is not None
        self.runs += 1
        return [
            self._decide({name: values[: bar + 1] for name, values in columns.items()})
            for bar in range(len(columns["close"]))
        ]


def audited(program: Program, bars: int = 300) -> AuditCard:
    return audit_strategy(STRATEGY, program, noise(bars), progress=lambda *_: None)


def figure(card: AuditCard, name: str) -> Any:
    return next(item for item in card.figures if item.name == name)


def closes(columns: Cells) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in columns["close"]])


def above_average(columns: Cells) -> list[Any]:
    close = closes(columns)
    return [None if bar < 10 else float(close[bar] > close[bar - 9 : bar + 1].mean()) for bar in range(len(close))]


LEAKS: dict[str, Callable[[Cells], Any]] = {
    "tomorrow": lambda c: [float(a < b) for a, b in zip(closes(c), [*closes(c)[1:], 0], strict=True)],
    "above the mean of all": lambda c: [float(v) for v in closes(c) > np.nanmean(closes(c))],
    "the last close": lambda c: [float(v) for v in closes(c) < closes(c)[-1]],
    "a dict of columns": lambda c: {"z": [float(v) for v in closes(c) - np.nanmax(closes(c))]},
    "words": lambda c: ["BUY" if v else "FLAT" for v in closes(c) < np.nanmedian(closes(c))],
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_program_that_is_handed_all_bars_and_looks_ahead_is_found_out(name: str) -> None:
    card = audited(Program(at_once=LEAKS[name]))

    assert (card.passed, card.handed) == (False, "all bars at once")
    assert "looks ahead" in card.reason
    assert card.cuts >= 32


def test_an_honest_program_that_is_handed_all_bars_passes() -> None:
    card = audited(Program(at_once=above_average))

    assert card.passed, card.reason
    assert card.kinds == ("truncate", "noise", "nan", "shuffle")
    assert card.runs > 4 * 32
    assert figure(card, "warm_up_bars").value == 10
    assert figure(card, "settled_bars").value == 10


def test_acting_one_bar_later_shows_what_hangs_on_knowing_tomorrow() -> None:
    card = audited(Program(at_once=LEAKS["tomorrow"]))

    assert figure(card, "sharpe").value > 5
    assert figure(card, "sharpe_one_bar_later").value < 3


def test_a_program_that_refuses_holes_is_tried_by_the_other_changes() -> None:
    def strict(columns: Cells) -> list[float]:
        if None in columns["close"]:
            raise InvalidRequest("mine ended before the first bar, execution_error: TypeError")
        return [float(value > 100) for value in columns["close"]]

    card = audited(Program(at_once=strict))

    assert card.passed
    assert "nan" not in card.kinds
    assert card.notes == ("nan: it refuses NaN (InvalidRequest)",)


def test_a_program_that_decides_bar_by_bar_is_run_again_and_its_later_start_compared() -> None:
    program = Program(decide=lambda c: "BUY" if len(c["close"]) > 5 and c["close"][-1] > c["close"][-5] else "FLAT")

    card = audited(program)

    assert (card.passed, card.handed, card.cuts, program.runs) == (
        True,
        "bar by bar",
        0,
        4,
    )  # one try at once, three by bar
    assert figure(card, "warm_up_bars").value == 0
    assert figure(card, "settled_bars").value <= 5


def test_one_that_decides_otherwise_each_time_does_not_pass() -> None:
    rng = np.random.default_rng(1)

    card = audited(Program(decide=lambda c: float(rng.integers(2))))

    assert not card.passed
    assert "run twice on the same bars, mine decided differently, first at bar" in card.reason


def test_a_position_for_all_bars_is_not_mistaken_for_one_value_per_bar() -> None:
    assert rows_of(0.5, 3) is None
    assert rows_of({"position": 1.0, "why": [1, 2]}, 3) is None
    assert rows_of([1.0, 2.0], 3) is None
    found = rows_of(["BUY", {"position": 0.5}, None], 3)
    assert found is not None
    assert found[:2, 0].tolist() == [1.0, 0.5]
    assert np.isnan(found[2, 0])


def test_an_account_that_is_wiped_out_has_no_sharpe_ratio_but_a_reason() -> None:
    bars = noise(300)
    crash = bars.close.copy()
    crash[200:] *= 5
    from dataclasses import replace

    rising = replace(bars, close=crash, high=np.maximum(crash, bars.high), open=bars.open)

    card = audit_strategy(STRATEGY, Program(decide=lambda c: "SELL"), rising, progress=lambda *_: None)

    assert figure(card, "sharpe").value is None
    assert "wiped out" in figure(card, "sharpe").note


def test_too_few_bars_are_named() -> None:
    with pytest.raises(DataUnavailable, match="100 are needed"):
        audited(Program(at_once=above_average), bars=60)
